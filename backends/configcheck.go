package backends

import (
	"fmt"
	"maps"
	"slices"
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
	ps.checkNames(c)
	ps.checkReplicas(c)
	ps.checkSections(c)
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

// maxWeight bounds weights, so that their sum is one too.
const maxWeight = 1 << 20

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
	if _, known := types[kind]; known {
		return
	}
	if kind == "" {
		ps.add("type", "is missing; write one of %s", strings.Join(Types(), ", "))
		return
	}
	ps.add("type", "unknown backend type %.40q%s", kind, access.DidYouMean(kind, Types()))
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

// checkNames checks what is said of models by their names. A name that no
// pattern has is one that no call can have.
func (ps *problems) checkNames(c *Config) {
	for _, key := range []string{"rename", "versions"} {
		names := map[string]map[string]string{"rename": c.Rename, "versions": c.Versions}[key]
		for _, name := range slices.Sorted(maps.Keys(names)) {
			at := key + "." + name
			switch {
			case name == "" || strings.Contains(name, "*"):
				ps.add(at, "must be the name of one model")
			case names[name] == "":
				ps.add(at, "is empty")
			case !slices.ContainsFunc(c.Models, func(pattern string) bool { return access.Match(pattern, name) }):
				ps.add(at, "is not among the backend's models")
			}
		}
	}
	public := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(c.Rename)) {
		server := c.Rename[name]
		if first, named := public[server]; named {
			ps.add("rename."+name, "is %.80q at the server, as %.80q is; a model has one name", server, first)
		}
		public[server] = name
	}
	if c.Weight < 0 || c.Weight > maxWeight {
		ps.add("weight", "must be from 1 to %d", maxWeight)
	}
}

func (ps *problems) checkCredential(c *CredentialConfig) {
	inline := !c.Bearer.IsZero() || c.Basic != nil || len(c.Headers) > 0
	switch {
	case c.Stored == "" && !inline:
		ps.add("credential", "is empty; write bearer, basic or headers, or the name of a stored one")
	case c.Stored != "" && inline:
		ps.add("credential", "stored says itself how it is shown; it excludes bearer, basic and headers")
	case c.Stored != "" && !storedName(c.Stored):
		// What is no name may be the secret itself, and is not repeated.
		ps.add("credential", "must be the name of a stored credential, of 1 to 63 letters, digits and - _ .; a secret is never written here itself")
	case !c.Bearer.IsZero() && c.Basic != nil:
		ps.add("credential", "bearer and basic exclude each other")
	}
	switch c.Lease {
	case "", LeaseCall, LeaseApproved:
	default:
		ps.add("credential.lease", "must be call or approved%s", access.DidYouMean(string(c.Lease), []string{"call", "approved"}))
	}
	if c.Lease != "" && len(c.StoredSecrets()) == 0 {
		ps.add("credential.lease", "is for stored secrets; none is named here")
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

func storedName(name string) bool {
	return len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}

func headerName(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// reserved tells names that grpc-go writes itself, and binary ones.
func reserved(name string) bool {
	return hop[name] || strings.HasPrefix(name, "grpc-") || strings.HasSuffix(name, "-bin")
}
