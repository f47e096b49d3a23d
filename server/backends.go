package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"slices"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/backends/kserve"
	"github.com/sluice-gateway/sluice/backends/leased"
	"github.com/sluice-gateway/sluice/backends/mlserver"
	replicas "github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/backends/triton"
	"github.com/sluice-gateway/sluice/secret"
)

// constructors is the table of what a backend's type can be. Each makes one
// replica of the backend, without waiting for its server.
var constructors = map[string]func(replica) (backends.Backend, error){
	"kserve":   replica.kserve,
	"mlserver": replica.mlserver,
	"openai":   replica.openai,
	"tgi":      replica.tgi,
	"triton":   func(r replica) (backends.Backend, error) { return r.triton(triton.Triton(r.config.OldTriton.Guard())) },
	"vllm":     replica.vllm,
}

// replica is what a constructor has to know: the backend's configuration, and
// which of its addresses is meant.
type replica struct {
	gateway
	config  backends.Config
	address string
	// forwarder is for what of a caller's metadata goes on; a type may add to it
	// what it holds back.
	forwarder backends.Forwarder
	// credentials secure a gRPC connection.
	credentials credentials.TransportCredentials
	// dialTLS, if not nil, connects an HTTP client to https addresses; it
	// follows the configured files (http.Transport.DialTLSContext).
	dialTLS func(ctx context.Context, network, address string) (net.Conn, error)
	// shows, if not nil, is what is opened of stored secrets.
	shows *leased.Shows
}

// gateway is what a backend needs of the gateway that it is opened for.
type gateway struct {
	buffers mem.BufferPool
	log     *slog.Logger
	// secrets are the stored ones; nil where none are kept.
	secrets *secret.Credentials
	// mayChoose decides whether the context's caller may infer on a model that a
	// parameter of a request to a backend chooses; nil allows none.
	mayChoose func(ctx context.Context, at backends.Config, model string) error
}

func (r replica) triton(traits backends.Traits) (backends.Backend, error) {
	if traits.Guard.GRPCError {
		r.forwarder.Hold = append(r.forwarder.Hold, backends.GRPCErrorKey)
	}
	return triton.New(triton.Options{
		Name: r.config.Name, Address: r.address, Credentials: r.credentials, Forwarder: r.forwarder, Traits: traits, Pool: r.buffers,
		Verify: r.verify(), Shown: r.shown(),
	})
}

// connection is how the servers of KServe's flavours but Triton are reached.
func (r replica) connection() connection.Options {
	return connection.Options{
		Name: r.config.Name, Address: r.address, Credentials: r.credentials, Forwarder: r.forwarder, Pool: r.buffers, Verify: r.verify(),
		Shown: r.shown(),
	}
}

func (r replica) verify() *connection.Verify { return &connection.Verify{Log: r.log} }

func (r replica) kserve() (backends.Backend, error) {
	return kserve.New(r.connection(), r.config.ServerNames())
}

func (r replica) mlserver() (backends.Backend, error) { return mlserver.New(r.connection()) }

// pool holds the open backends of one configuration.
type pool struct {
	configs []backends.Config
	open    []*replicas.Pool
	table   *backends.Table
}

// openBackends opens what configs name, taking over from before what is
// configured as it was, so that a reload of the policy drops no connection.
func openBackends(configs []backends.Config, before *pool, g gateway) (*pool, error) {
	p := &pool{configs: configs}
	var routes []backends.Route
	for _, c := range configs {
		b, err := before.same(c), error(nil)
		if b == nil {
			b, err = openBackend(c, g)
		}
		if err != nil {
			return nil, errors.Join(err, p.closeAllBut(before))
		}
		p.open = append(p.open, b)
		routes = append(routes, backends.Route{Backend: b, Patterns: c.Models, Weight: c.Weight, Rename: c.Rename})
	}
	var err error
	if p.table, err = backends.NewTable(routes); err != nil {
		return nil, errors.Join(err, p.closeAllBut(before))
	}
	return p, nil
}

// same returns the open backend of a configuration equal to c, its models aside
// where only the table needs them.
func (p *pool) same(c backends.Config) *replicas.Pool {
	if p == nil {
		return nil
	}
	known := c.Type == "kserve" // whose index is the configured models
	if !known {
		c.Models = nil
	}
	for i, have := range p.configs {
		if !known {
			have.Models = nil
		}
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

// built tells whether this program has what a backend needs.
func built(c backends.Config) error {
	if constructors[c.Type] == nil {
		return fmt.Errorf("backend %s: this program has no backends of type %s", c.Name, c.Type)
	}
	return nil
}

// CheckBackends reports every backend that the configuration may name but that
// this program cannot open.
func CheckBackends(configs []backends.Config) error {
	var errs []error
	for _, c := range configs {
		errs = append(errs, built(c))
	}
	return errors.Join(errs...)
}
