package connection

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	// pingEvery is how often a connection with open calls is probed. Triton
	// counts pings closer than 300 s as strikes (protocol/kserve-v2.md, section 9).
	pingEvery   = 6 * time.Minute
	pingTimeout = 20 * time.Second
	// connectTimeout bounds one attempt, so that an address that answers nothing
	// is reported as away and not waited for.
	connectTimeout = 3 * time.Second
	maxBackoff     = 2 * time.Second // a server that is back is used again soon
)

// Options says how to reach a server.
type Options struct {
	Name    string
	Address string // host:port, or any gRPC target
	// Kind is what the server has to be.
	Kind Kind
	// Credentials secure the connection; insecure.NewCredentials() where the
	// configuration says plaintext.
	Credentials credentials.TransportCredentials
	Forwarder   backends.Forwarder
	// Pool lends the buffers of received messages; grpc's own if nil.
	Pool mem.BufferPool
	// Verify, if not nil, asks the server after each connecting whether it is of
	// Kind; without it, it is believed.
	Verify *Verify
	// Shown, if not nil, gives the credential that the connection's own question
	// shows, where Forwarder has none: each call brings its own then. Nothing is
	// connected before the first call.
	Shown func() (map[string]string, error)
	// Dial adds to the connection's options (tests: in-memory dialers).
	Dial []grpc.DialOption
}

// Verify says who hears of a server that is of another kind than the
// configuration says.
type Verify struct {
	Log *slog.Logger
	// Mismatch, if not nil, is told whether the server is of another kind, each time
	// that changes. It may be called from any goroutine.
	Mismatch func(bool)
}

// Conn is a connection to one server. It is safe for concurrent use.
type Conn struct {
	opts Options
	conn *grpc.ClientConn
	*verifier
}

// New makes the connection without waiting for the server: one that is away is
// an error of the calls to it, not of the start.
func New(o Options) (*Conn, error) {
	c := &Conn{opts: o, verifier: newVerifier(o)}
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(c.watch(o.Credentials)),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(wire.Codec{}),
			grpc.MaxCallRecvMsgSize(math.MaxInt32),
			grpc.MaxCallSendMsgSize(math.MaxInt32),
		),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxBackoff},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithIdleTimeout(0), // a first call after a quiet hour must not pay for a handshake
		grpc.WithDisableRetry(), // what was not answered may have been done
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent("sluice"),
	}
	if o.Pool != nil {
		dial = append(dial, experimental.WithBufferPool(o.Pool))
	}
	target := o.Address
	if !strings.Contains(target, ":/") { // grpc would ask the DNS about a plain host:port
		target = "passthrough:///" + target
	}
	conn, err := grpc.NewClient(target, append(dial, o.Dial...)...)
	if err != nil {
		return nil, fmt.Errorf("backend %s: %w", o.Name, err)
	}
	c.conn = conn
	if o.Shown == nil {
		conn.Connect()
	}
	c.start(c, o.Shown == nil)
	return c, nil
}

// Name is the backend's name in the configuration.
func (c *Conn) Name() string { return c.opts.Name }

// Outgoing adds what goes on of a caller's metadata, and the credential.
func (c *Conn) Outgoing(ctx context.Context, incoming map[string][]string) (context.Context, error) {
	return c.opts.Forwarder.Outgoing(ctx, incoming)
}

// Close ends the connection and all calls on it.
func (c *Conn) Close() error {
	err := c.conn.Close()
	c.stop()
	return err
}

// Invoke makes one unary call. A status that the server answered comes back
// unchanged; what became of the connection is an access.Error of kind
// Unavailable, and so is a server of another kind than the configured one.
func (c *Conn) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	if err := c.passed(ctx); err != nil {
		return err
	}
	return explain(ctx, c.conn.Invoke(ctx, method, req, resp, opts...))
}

// NewStream opens a stream. Its errors are told apart as those of Invoke are.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := c.passed(ctx); err != nil {
		return nil, err
	}
	s, err := c.conn.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, explain(ctx, err)
	}
	return &stream{ClientStream: s, caller: ctx}, nil
}

func (c *Conn) isConnected() bool { return c.conn.GetState() == connectivity.Ready }

// settled waits while a connection is being made.
func (c *Conn) settled(ctx context.Context) {
	for c.conn.GetState() == connectivity.Connecting && c.conn.WaitForStateChange(ctx, connectivity.Connecting) {
	}
}

// AsksKey is metadata that a question of the gateway's own has, so that it can be
// told from callers' calls. No caller can set it (backends.Forwarder).
const AsksKey = "sluice-asks"

// ask asks the server what it is, past the verifier.
func (c *Conn) ask(ctx context.Context) (*inference.ServerMetadataResponse, error) {
	own := backends.Forwarder{Credential: c.opts.Forwarder.Credential}
	if c.opts.Shown != nil {
		own.Credential = c.opts.Shown
	}
	ctx, err := own.Outgoing(ctx, nil)
	if err != nil {
		return nil, err
	}
	ctx = metadata.AppendToOutgoingContext(ctx, AsksKey, "kind")
	m, err := inference.NewGRPCInferenceServiceClient(c.conn).ServerMetadata(ctx, &inference.ServerMetadataRequest{})
	return m, explain(ctx, err)
}

// stream keeps the caller's context: grpc-go ends its own when the stream does,
// whoever ended it.
type stream struct {
	grpc.ClientStream
	caller context.Context //nolint:containedctx // the stream's own
}

// RecvMsg returns io.EOF at the stream's good end.
func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil || err == io.EOF {
		return err
	}
	return explain(s.caller, err)
}
