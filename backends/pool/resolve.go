package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/backends"
)

// Lookup finds the IP addresses of a host.
type Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

// lookupTimeout bounds one lookup.
const lookupTimeout = 5 * time.Second

// maxMembers bounds the replicas of a backend: a name's addresses are chosen by
// whoever runs its DNS.
const maxMembers = 256

// place is where a replica is, and the name by which that was found.
type place struct{ address, name string }

// entry is one address of the configuration.
type entry struct {
	fixed place // where it cannot change

	host   string // to be looked up
	format func(netip.Addr) string
	lookup Lookup
	last   []place // what was found last
}

// resolver keeps the addresses of a backend. It is the watching goroutine's alone.
// grpc's own dns resolver is not used: it looks a name up every 30 s at most, and
// a replica that is back at another address shall be found within seconds.
type resolver struct {
	entries []*entry
	log     func(host string, err error)
}

func newResolver(c backends.Config, lookup Lookup) (*resolver, error) {
	r := &resolver{log: func(string, error) {}}
	for _, address := range c.Addresses {
		e, err := newEntry(address, lookup)
		if err != nil {
			return nil, err
		}
		r.entries = append(r.entries, e)
	}
	return r, nil
}

func newEntry(address string, lookup Lookup) (*entry, error) {
	e := &entry{lookup: lookup}
	var hostport, authority string
	switch {
	case strings.HasPrefix(address, "dns+http"):
		u, err := url.Parse(strings.TrimPrefix(address, "dns+"))
		if err != nil {
			return nil, err
		}
		e.host = u.Hostname()
		e.format = func(ip netip.Addr) string {
			at := *u
			at.Host = ip.String()
			if ip.Is6() {
				at.Host = "[" + at.Host + "]"
			}
			if u.Port() != "" {
				at.Host += ":" + u.Port()
			}
			return at.String()
		}
	case strings.HasPrefix(address, "dns:"):
		hostport = strings.TrimPrefix(address, "dns:")
		if rest, ok := strings.CutPrefix(hostport, "//"); ok {
			authority, hostport, _ = strings.Cut(rest, "/")
		}
		host, port, err := net.SplitHostPort(hostport)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", address, err)
		}
		e.host = host
		e.format = func(ip netip.Addr) string { return net.JoinHostPort(ip.String(), port) }
	default:
		e.fixed.address = address
	}
	if e.lookup == nil {
		e.lookup = system(authority)
	}
	return e, nil
}

// system is the system's resolver, asking the server at authority if there is one.
func system(authority string) Lookup {
	r := net.DefaultResolver
	if authority != "" {
		if _, _, err := net.SplitHostPort(authority); err != nil {
			authority = net.JoinHostPort(authority, "53")
		}
		r = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, authority)
		}}
	}
	return func(ctx context.Context, host string) ([]netip.Addr, error) { return r.LookupNetIP(ctx, "ip", host) }
}

// fixed tells whether no address can change.
func (r *resolver) fixed() bool {
	return !slices.ContainsFunc(r.entries, func(e *entry) bool { return e.host != "" })
}

// static are the places that need no lookup.
func (r *resolver) static() (all []place) {
	for _, e := range r.entries {
		if e.host == "" {
			all = append(all, e.fixed)
		}
	}
	return all
}

// example is a place of the kind that lookups find.
func (r *resolver) example() place {
	e := r.entries[0]
	return place{e.format(netip.IPv6Unspecified()), e.host}
}

// resolve looks every name up. One that cannot be looked up keeps what was found
// last: a DNS that is away takes no replica away.
func (r *resolver) resolve(ctx context.Context) []place {
	all := r.static()
	for _, e := range r.entries {
		if e.host == "" {
			continue
		}
		found, err := e.find(ctx)
		if err != nil {
			r.log(e.host, err)
		} else {
			e.last = found
		}
		for _, at := range e.last {
			known := slices.ContainsFunc(all, func(p place) bool { return p.address == at.address })
			if !known && len(all) < maxMembers {
				all = append(all, at)
			}
		}
	}
	return all
}

func (e *entry) find(ctx context.Context) ([]place, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := e.lookup(ctx, e.host)
	if notFound := (*net.DNSError)(nil); errors.As(err, &notFound) && notFound.IsNotFound {
		return nil, nil // a headless service without a ready pod
	}
	if err != nil {
		return nil, err
	}
	var places []place
	for _, ip := range found {
		places = append(places, place{e.format(ip.Unmap()), e.host})
	}
	return places, nil
}
