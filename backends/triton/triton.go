// Package triton speaks to servers of the KServe v2 gRPC protocol as Triton
// serves it, over one connection. Messages go through by reference. MLServer,
// which serves the same service without streams and without Triton's
// extensions, is the same client with other traits ([MLServer]).
package triton

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
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
	// Credentials secure the connection; insecure.NewCredentials() where the
	// configuration says plaintext.
	Credentials credentials.TransportCredentials
	Forwarder   backends.Forwarder
	Traits      backends.Traits
	// Pool lends the buffers of received messages; grpc's own if nil.
	Pool mem.BufferPool
	// Dial adds to the connection's options (tests: in-memory dialers).
	Dial []grpc.DialOption
}

// Backend is a connection to one server.
type Backend struct {
	opts Options
	conn *grpc.ClientConn
}

var _ backends.Backend = (*Backend)(nil)

// New makes the backend without waiting for its server: one that is away is an
// error of the calls to it, not of the start.
func New(o Options) (*Backend, error) {
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(o.Credentials),
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
	conn.Connect()
	return &Backend{opts: o, conn: conn}, nil
}

// Name is the backend's name in the configuration.
func (b *Backend) Name() string { return b.opts.Name }

// Traits tells what kind of server it is.
func (b *Backend) Traits() backends.Traits { return b.opts.Traits }

// Outgoing adds what goes on of a caller's metadata, and the credential.
func (b *Backend) Outgoing(ctx context.Context, metadata map[string][]string) (context.Context, error) {
	return b.opts.Forwarder.Outgoing(ctx, metadata)
}

// Close ends the connection and all calls on it.
func (b *Backend) Close() error { return b.conn.Close() }

// Invoke forwards one unary call.
func (b *Backend) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	if err := b.supports(method); err != nil {
		return err
	}
	return b.explain(ctx, b.conn.Invoke(ctx, method, req, resp, opts...))
}

// NewStream opens a stream. Its errors are told apart as those of Invoke are.
func (b *Backend) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := b.supports(method); err != nil {
		return nil, err
	}
	s, err := b.conn.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	return &stream{ClientStream: s, backend: b, caller: ctx}, nil
}

// stream keeps the caller's context: grpc-go ends its own when the stream does,
// whoever ended it.
type stream struct {
	grpc.ClientStream
	backend *Backend
	caller  context.Context //nolint:containedctx // the stream's own
}

// RecvMsg returns io.EOF at the stream's good end.
func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil || err == io.EOF {
		return err
	}
	return s.backend.explain(s.caller, err)
}

func (b *Backend) supports(method string) error {
	if !b.opts.Traits.Missing[method] {
		return nil
	}
	rpc := method[strings.LastIndexByte(method, '/')+1:]
	return &access.Error{Kind: access.Unimplemented, Reason: access.ReasonUnsupported, Message: "this model's server does not serve " + rpc}
}

// ownWords begin the statuses that grpc-go makes itself when a server can't be
// reached or breaks off: they name addresses, which are not the caller's.
var ownWords = []string{
	"connection error:", "error reading from server:", "closing transport due to:", "transport:", "transport is closing",
	"name resolver error:", "last resolver error:", "last connection error:", "no children to pick from", "keepalive ping failed",
	"the connection is draining", "the stream is rejected because server is draining", "grpc: the client connection is closing",
	"unavailable due to", "produced zero addresses", "latest balancer error:", "SubConn state is not",
	// What the connection itself says comes without grpc-go's words where writing failed.
	"write tcp", "read tcp", "write unix", "read unix", "remote error: tls:", "local error: tls:", "tls:", "io: read/write on closed pipe",
}

// resetWords begin the status that grpc-go makes where a server resets a call.
const resetWords = "stream terminated by RST_STREAM"

// explain tells the server's own statuses, which go through unchanged, from
// those of the connection to it.
func (b *Backend) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	st, ok := status.FromError(err)
	if !ok {
		return backends.Away(err)
	}
	switch {
	case notGRPC(st):
		what, _, _ := strings.Cut(st.Message(), "\n") // behind it is what was answered
		return backends.NotKServe(errors.New(what))
	case isOwn(st), strings.HasPrefix(st.Message(), resetWords):
		return away(st, err)
	}
	return err
}

// foreignWords begin the statuses that grpc-go makes where what answers does not
// speak gRPC. They may quote its answer: a page of whatever else is there.
var foreignWords = []string{
	"unexpected HTTP status code received from server:", "malformed header:", "transport: received unexpected content-type", "transport: malformed", "protocol error:",
}

func notGRPC(st *status.Status) bool {
	return hasPrefix(st.Message(), foreignWords) || st.Code() == codes.Internal && strings.HasPrefix(st.Message(), "grpc: ")
}

func isOwn(st *status.Status) bool {
	switch st.Code() {
	case codes.Unavailable, codes.Canceled, codes.Unknown:
		return hasPrefix(st.Message(), ownWords)
	}
	return false
}

func hasPrefix(msg string, beginnings []string) bool {
	return slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(msg, b) })
}

// unsentWords begin the statuses that grpc-go makes where it has no connection to
// send a request on. It puts the reason of a broken connection in other words.
var unsentWords = []string{`connection error: desc = "transport: `, `connection error: desc = "error reading server preface`}

func away(st *status.Status, err error) error {
	switch {
	case hasPrefix(st.Message(), unsentWords):
		return backends.Away(backends.Unsent(err))
	case strings.HasPrefix(st.Message(), resetWords):
		return backends.Away(fmt.Errorf("%w: %w", backends.ErrCallReset, err))
	}
	return backends.Away(err)
}

// rpcs lists the full names of the service's methods.
func rpcs() []string {
	desc := inference.GRPCInferenceService_ServiceDesc
	var all []string
	for _, m := range desc.Methods {
		all = append(all, "/"+desc.ServiceName+"/"+m.MethodName)
	}
	for _, s := range desc.Streams {
		all = append(all, "/"+desc.ServiceName+"/"+s.StreamName)
	}
	return all
}

// Triton is the traits of a Triton: it serves everything, and sends no metadata
// (protocol/servers-observed.md).
func Triton(g backends.Guard) backends.Traits {
	return backends.Traits{Triton: true, Silent: true, Guard: g}
}

// MLServer is the traits of an MLServer, as seen on 1.7.1 (protocol/servers-observed.md): its
// stream answers ModelInferResponse where clients expect
// ModelStreamInferResponse, so it is not offered, and Triton's extensions are
// not there.
func MLServer() backends.Traits {
	serves := map[string]bool{
		inference.GRPCInferenceService_ServerLive_FullMethodName:            true,
		inference.GRPCInferenceService_ServerReady_FullMethodName:           true,
		inference.GRPCInferenceService_ModelReady_FullMethodName:            true,
		inference.GRPCInferenceService_ServerMetadata_FullMethodName:        true,
		inference.GRPCInferenceService_ModelMetadata_FullMethodName:         true,
		inference.GRPCInferenceService_ModelInfer_FullMethodName:            true,
		inference.GRPCInferenceService_RepositoryIndex_FullMethodName:       true,
		inference.GRPCInferenceService_RepositoryModelLoad_FullMethodName:   true,
		inference.GRPCInferenceService_RepositoryModelUnload_FullMethodName: true,
	}
	missing := make(map[string]bool)
	for _, rpc := range rpcs() {
		missing[rpc] = !serves[rpc]
	}
	return backends.Traits{Missing: missing}
}
