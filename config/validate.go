package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// found collects problems with their paths from the document's root.
type found []access.Problem

func (f *found) add(path, format string, args ...any) {
	*f = append(*f, access.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

// under adds a part's problems, whose paths are relative to path.
func (f *found) under(path string, problems []access.Problem) {
	for _, p := range problems {
		f.add(join(path, p.Path), "%s", p.Message)
	}
}

// Validate checks the settings and what must hold between the parts, all of
// it. It reads no files; [Load] does.
func (c *Config) Validate() []access.Problem {
	var f found
	f.under("server", c.Server.Validate())
	f.identity(&c.Identity)
	if c.Store.SQLite != "" && !c.Store.Postgres.IsZero() {
		f.add("store", "sqlite and postgres exclude each other")
	}
	f.backends(c)
	f.under("audit", c.Audit.Validate())
	f.payloads(c)
	f.under("approvals", c.Approvals.Validate())
	f.sinks(c.Audit.Sinks)
	f.notify(c)
	f.secrets(c)
	f.references(c)
	if len(c.Policy) == 0 {
		f.add("policy", "is missing: without a policy nobody may do anything; write policy: [policy.yaml]")
	}
	for i, file := range c.Policy {
		if slices.Index(c.Policy, file) < i {
			f.add(indexed("policy", i), "is there twice")
		}
	}
	return f
}

// references finds what looks like a reference where none is looked up: it
// would be taken as it stands.
func (f *found) references(c *Config) {
	walk(reflect.ValueOf(c).Elem(), "", func(v reflect.Value, path string) bool {
		if v.Kind() == reflect.String && strings.Contains(v.String(), "${") {
			f.add(path, "${NAME} is not expanded here, only where a secret is referred to")
		}
		return true
	})
}

func (f *found) backends(c *Config) {
	if len(c.Backends) == 0 {
		f.add("backends", "is missing: there is nothing to forward to")
	}
	names, models := make(map[string]int), make(map[string]int)
	for i := range c.Backends {
		b := &c.Backends[i]
		path := indexed("backends", i)
		f.under(path, b.Validate())
		if first, taken := names[b.Name]; taken && b.Name != "" {
			f.add(path+".name", "%q is the name of backends[%d] too", b.Name, first)
		}
		names[b.Name] = i
		for j, m := range b.Models {
			if first, taken := models[m]; taken && first != i && (b.Weight == 0 || c.Backends[first].Weight == 0) {
				f.add(indexed(path+".models", j), "%q is among the models of backends[%d] too; a model has one backend, or several of which each has a weight", m, first)
			}
			models[m] = i
		}
	}
}

// Validate checks the server's settings.
func (s *Server) Validate() []access.Problem {
	var f found
	f.listeners(s)
	f.oneOf("probes", s.Probes, "open", "authenticated")
	f.oneOf("ready", s.Ready, "any", "all")
	if t := s.TLS; t != nil {
		if t.Cert == "" || t.Key == "" {
			f.add("tls", "needs both cert and key")
		}
		f.oneOf("tls.min_version", t.MinVersion, "1.2", "1.3")
	}
	f.limits(&s.Limits)
	if s.Memory.GCPercent < 1 {
		f.add("memory.gc_percent", "must be positive")
	}
	return f
}

func (f *found) limits(l *Limits) {
	for _, limit := range []struct {
		path  string
		value int64
	}{
		{"in_flight", int64(l.InFlight)},
		{"in_flight_per_principal", int64(l.InFlightPerPrincipal)},
		{"max_message", int64(l.MaxMessage)},
		{"max_streams", int64(l.MaxStreams)},
		{"calls_per_principal", int64(l.CallsPerPrincipal)},
	} {
		if limit.value <= 0 {
			f.add("limits."+limit.path, "must be positive")
		}
	}
	if l.MaxMessage > defaultMessage {
		f.add("limits.max_message", "must be below 2GiB, the most that protobuf can hold")
	}
}

func (f *found) oneOf(path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		f.add(path, "must be %s or %s%s", allowed[0], allowed[1], access.DidYouMean(value, allowed))
	}
}

// listeners checks addresses, that no two are the same, and that nothing goes
// over the network in plaintext unless that is what was asked for.
func (f *found) listeners(s *Server) {
	var open []listener
	for _, l := range []struct {
		path, address string
		plain         bool
	}{{"grpc", s.GRPC, false}, {"rest", s.REST, false}, {"metrics", s.Metrics, true}, {"console", s.Console, false}} {
		if l.address == Off {
			continue
		}
		host, port, err := parseListener(l.address)
		if err != nil {
			f.add(l.path, "%v", err)
			continue
		}
		if s.plaintextRefused(host, l.plain) {
			f.add(l.path, "is plaintext off loopback: %s", remedy(l.plain))
		}
		this := listener{path: l.path, host: host, port: port}
		for _, other := range open {
			if this.clashes(other) {
				f.add(l.path, "is the same address as server.%s", other.path)
				break
			}
		}
		open = append(open, this)
	}
}

func (s *Server) plaintextRefused(host string, plain bool) bool {
	return !s.Plaintext && (plain || s.TLS == nil) && !loopback(host)
}

func remedy(plain bool) string {
	if plain {
		return "listen on 127.0.0.1, or write server.plaintext: true"
	}
	return "configure server.tls, listen on 127.0.0.1, or write server.plaintext: true"
}
