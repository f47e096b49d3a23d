package backends

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The schemes of gRPC targets that an address may have (grpc's naming
// document); an address without one is host:port.
const (
	schemeDNS  = "dns:"
	schemeUnix = "unix:"
	// schemeLookup before a URL does for HTTP what dns: does for gRPC.
	schemeLookup = "dns+"
)

func (ps *problems) checkAddresses(c *Config) {
	if len(c.Addresses) == 0 {
		ps.add("addresses", "is missing; write at least one")
	}
	if _, known := types[c.Type]; !known {
		return // what its addresses look like is not known either
	}
	for i, address := range c.Addresses {
		at := fmt.Sprintf("addresses[%d]", i)
		a, err := parseAddress(address, c.HTTP())
		switch {
		case err != nil:
			ps.add(at, "%v", err)
		case slices.Index(c.Addresses, address) < i:
			ps.add(at, "is there twice")
		case c.HTTP() && c.TLS != nil && !a.tls:
			ps.add(at, "is plaintext, but the backend has tls: write https://")
		case a.tls || c.TLS != nil || c.Plaintext || a.local:
		case c.HTTP():
			ps.add(at, "is not on loopback: write https://, or give the backend plaintext: true")
		default:
			ps.add(at, "is not on loopback: give the backend tls, or plaintext: true")
		}
	}
}

// address is what must be known of one.
type address struct {
	local bool // on this host for certain
	tls   bool // by its own scheme
}

func parseAddress(text string, http bool) (address, error) {
	switch {
	case http:
		rest, looked := strings.CutPrefix(text, schemeLookup)
		a, err := parseURL(rest)
		a.local = a.local && !looked // whatever a DNS may answer
		return a, err
	case strings.HasPrefix(text, schemeUnix):
		if path := strings.TrimPrefix(strings.TrimPrefix(text, schemeUnix), "//"); !strings.HasPrefix(path, "/") {
			return address{}, errors.New("must be unix:///path")
		}
		return address{local: true}, nil
	case strings.HasPrefix(text, schemeDNS):
		rest := strings.TrimPrefix(text, schemeDNS)
		if authority, ok := strings.CutPrefix(rest, "//"); ok {
			_, rest, _ = strings.Cut(authority, "/")
		}
		a, err := parseHostPort(rest)
		a.local = false
		return a, err
	case strings.Contains(text, "://"):
		return address{}, errors.New("must be host:port of the server's gRPC port, dns:///host:port or unix:///path, not another URL")
	}
	return parseHostPort(text)
}

func parseHostPort(text string) (address, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return address{}, errors.New("must be host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return address{}, errors.New("must have a port from 1 to 65535")
	}
	return address{local: loopback(host)}, nil
}

// parseURL reads the root of an HTTP server. What a URL could hold besides is
// refused: a password in it would be shown wherever the address is.
func parseURL(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return address{}, errors.New("must be a URL of the server, http://host:port or https://host:port, or dns+http://host:port for all its addresses")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return address{}, errors.New("must be a URL of scheme, host, port and path alone; what is shown to the server is the credential")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return address{}, errors.New("must have a port from 1 to 65535")
		}
	}
	return address{local: loopback(u.Hostname()), tls: u.Scheme == "https"}, nil
}

// Local tells whether the backend is one server on this host for certain.
func (c *Config) Local() bool {
	if len(c.Addresses) != 1 {
		return false
	}
	a, err := parseAddress(c.Addresses[0], c.HTTP())
	return err == nil && a.local
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
