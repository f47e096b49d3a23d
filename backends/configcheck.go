package backends

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// Validate checks the entry by itself; that its name and its models are nobody
// else's is the loader's to check. It reads no files.
func (c *Config) Validate() []access.Problem {
	var ps problems
	ps.checkName(c.Name)
	ps.checkType(c.Type)
	ps.checkAddresses(c)
	ps.checkModels(c.Models)
	for i, p := range c.Metadata {
		if !headerName(strings.ReplaceAll(p, "*", "x")) {
			ps.add(fmt.Sprintf("metadata[%d]", i), "%.40q is not a pattern of metadata names: those have lower-case letters, digits and - _ .", p)
		}
	}
	if c.TLS != nil && (c.TLS.Cert == "") != (c.TLS.Key == "") {
		ps.add("tls", "cert and key go together")
	}
	if c.Credential != nil {
		ps.checkCredential(c.Credential)
	}
	return ps
}

type problems []access.Problem

func (ps *problems) add(path, format string, args ...any) {
	*ps = append(*ps, access.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (ps *problems) checkName(name string) {
	switch {
	case name == "":
		ps.add("name", "is missing")
	case len(name) > 63 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "":
		ps.add("name", "must be at most 63 letters, digits and - _ .")
	}
}

func (ps *problems) checkType(kind string) {
	switch {
	case kind == "":
		ps.add("type", "is missing; write triton or mlserver")
	case slices.Contains(notYet, kind):
		ps.add("type", "backends of type %s are not supported by this version yet", kind)
	case !slices.Contains(Types(), kind):
		ps.add("type", "unknown backend type %.40q%s", kind, access.DidYouMean(kind, append(Types(), notYet...)))
	}
}

func (ps *problems) checkAddresses(c *Config) {
	switch len(c.Addresses) {
	case 0:
		ps.add("addresses", "is missing; write one address as host:port")
	case 1:
	default:
		ps.add("addresses[1]", "replica pools are not supported by this version yet; write one address")
	}
	if slices.Contains(notYet, c.Type) {
		return // its addresses are of another form
	}
	for i, address := range c.Addresses {
		at := fmt.Sprintf("addresses[%d]", i)
		host, err := splitAddress(address)
		if err != nil {
			ps.add(at, "%v", err)
		} else if c.TLS == nil && !c.Plaintext && !loopback(host) {
			ps.add(at, "is not on loopback: give the backend tls, or plaintext: true")
		}
	}
}

func splitAddress(address string) (host string, err error) {
	if strings.Contains(address, "://") {
		return "", errors.New("must be host:port of the server's gRPC port, not a URL")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return "", errors.New("must be host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("must have a port from 1 to 65535")
	}
	return host, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

func (ps *problems) checkModels(models []string) {
	if len(models) == 0 {
		ps.add("models", `is missing; write models: ["*"] for all of them`)
	}
	seen := make(map[string]bool)
	for i, m := range models {
		at := fmt.Sprintf("models[%d]", i)
		if m == "" {
			ps.add(at, "is an empty pattern")
		} else if seen[m] {
			ps.add(at, "%.80q is there twice", m)
		}
		seen[m] = true
	}
}

func (ps *problems) checkCredential(c *CredentialConfig) {
	switch {
	case c.Bearer.IsZero() && c.Basic == nil && len(c.Headers) == 0:
		ps.add("credential", "is empty; write bearer, basic or headers")
	case !c.Bearer.IsZero() && c.Basic != nil:
		ps.add("credential", "bearer and basic exclude each other")
	}
	if b := c.Basic; b != nil {
		if b.Username == "" || strings.Contains(b.Username, ":") {
			ps.add("credential.basic.username", "must be there, without a colon")
		}
		if b.Password.IsZero() {
			ps.add("credential.basic.password", "is missing")
		}
	}
	both := !c.Bearer.IsZero() || c.Basic != nil
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		at := "credential.headers." + name
		if !headerName(name) || reserved(name) {
			ps.add(at, "is not a name that a credential can have: lower-case letters, digits and - _ ., none of HTTP's or gRPC's own")
		} else if name == "authorization" && both {
			ps.add(at, "bearer or basic sets it already")
		}
	}
}

func headerName(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// reserved tells names that grpc-go writes itself, and binary ones.
func reserved(name string) bool {
	return hop[name] || strings.HasPrefix(name, "grpc-") || strings.HasSuffix(name, "-bin")
}
