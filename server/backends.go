package server

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/triton"
	"github.com/sluice-gateway/sluice/config/tlsfiles"
)

// kinds is the table of what a backend's type can be.
var kinds = map[string]func(backends.Config) backends.Traits{
	"triton":   func(c backends.Config) backends.Traits { return triton.Triton(c.OldTriton.Guard()) },
	"mlserver": func(backends.Config) backends.Traits { return triton.MLServer() },
}

// pool holds the open backends of one configuration.
type pool struct {
	configs []backends.Config
	open    []backends.Backend
	table   *backends.Table
}

// openBackends opens what configs name, taking over from before what is
// configured as it was, so that a reload of the policy drops no connection.
func openBackends(configs []backends.Config, before *pool, buffers mem.BufferPool, log *slog.Logger) (*pool, error) {
	p := &pool{configs: configs}
	var routes []backends.Route
	for _, c := range configs {
		b, err := before.same(c), error(nil)
		if b == nil {
			b, err = openBackend(c, buffers, log)
		}
		if err != nil {
			return nil, errors.Join(err, p.closeAllBut(before))
		}
		p.open = append(p.open, b)
		routes = append(routes, backends.Route{Backend: b, Patterns: c.Models})
	}
	var err error
	if p.table, err = backends.NewTable(routes); err != nil {
		return nil, errors.Join(err, p.closeAllBut(before))
	}
	return p, nil
}

// same returns the open backend of a configuration equal to c, models aside.
func (p *pool) same(c backends.Config) backends.Backend {
	if p == nil {
		return nil
	}
	c.Models = nil
	for i, have := range p.configs {
		have.Models = nil
		if reflect.DeepEqual(have, c) {
			return p.open[i]
		}
	}
	return nil
}

// closeAllBut closes the backends that other does not have.
func (p *pool) closeAllBut(other *pool) error {
	var errs []error
	for _, b := range p.open {
		if other == nil || !slices.Contains(other.open, b) {
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}

func openBackend(c backends.Config, buffers mem.BufferPool, log *slog.Logger) (backends.Backend, error) {
	kind, ok := kinds[c.Type]
	if !ok {
		return nil, fmt.Errorf("backend %s: no such type %q", c.Name, c.Type)
	}
	creds, err := backendCredentials(c, log)
	if err != nil {
		return nil, fmt.Errorf("backend %s: %w", c.Name, err)
	}
	forward := backends.Forwarder{Allow: c.Metadata}
	traits := kind(c)
	if traits.Guard.GRPCError {
		forward.Hold = []string{backends.GRPCErrorKey}
	}
	if c.Credential != nil {
		forward.Credential = c.Credential.Metadata
	}
	return triton.New(triton.Options{Name: c.Name, Address: c.Addresses[0], Credentials: creds, Forwarder: forward, Traits: traits, Pool: buffers})
}

func backendCredentials(c backends.Config, log *slog.Logger) (credentials.TransportCredentials, error) {
	if c.TLS == nil {
		return insecure.NewCredentials(), nil // config.Validate wants plaintext: true off loopback
	}
	return tlsfiles.Client(tlsfiles.ClientFiles{
		CA: string(c.TLS.CA), Cert: string(c.TLS.Cert), Key: string(c.TLS.Key), ServerName: c.TLS.ServerName,
	}, log)
}
