// Package triton speaks to Triton: the server that the protocol is measured by,
// so that messages go through as they are.
package triton

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/connection"
)

// Options says how to reach a server.
type Options struct {
	Name    string
	Address string // host:port, or any gRPC target
	// Credentials secure the connection; insecure.NewCredentials() where the
	// configuration says plaintext.
	Credentials credentials.TransportCredentials
	Forwarder   backends.Forwarder
	Traits      backends.Traits
	// Pool lends the buffers of received messages; grpc's own if nil.
	Pool mem.BufferPool
	// Verify, if not nil, asks the server whether it is a Triton.
	Verify *connection.Verify
	// Shown is [connection.Options]'.
	Shown func() (map[string]string, error)
	// Dial adds to the connection's options (tests: in-memory dialers).
	Dial []grpc.DialOption
}

// Backend is a connection to one Triton.
type Backend struct {
	*connection.Conn
	traits backends.Traits
}

var _ backends.Verified = (*Backend)(nil)

// New makes the backend without waiting for its server: one that is away is an
// error of the calls to it, not of the start.
func New(o Options) (*Backend, error) {
	c, err := connection.New(connection.Options{
		Name: o.Name, Address: o.Address, Credentials: o.Credentials, Forwarder: o.Forwarder, Pool: o.Pool,
		Kind: connection.Triton, Verify: o.Verify, Shown: o.Shown, Dial: o.Dial,
	})
	if err != nil {
		return nil, err
	}
	return &Backend{Conn: c, traits: o.Traits}, nil
}

// Traits tells what kind of server it is.
func (b *Backend) Traits() backends.Traits { return b.traits }

// Triton is the traits of a Triton: it serves everything, and sends no metadata
// (protocol/servers-observed.md).
func Triton(g backends.Guard) backends.Traits {
	return backends.Traits{Triton: true, Silent: true, Guard: g}
}
