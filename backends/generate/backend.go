package generate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// Options says what backend to make of a server.
type Options struct {
	// Name is the backend's in the configuration.
	Name string
	// Kind is what ServerMetadata calls the server: "vllm".
	Kind   string
	Server Server
	// Schema has the sampling parameters that the server takes.
	Schema Schema
	// Defaults are parameters, by the server's names, of a prompt that does not
	// set them itself. A conversation is left to the server's own.
	Defaults map[string]any
	// Forwarder says what of a caller's metadata may go on as headers. Its
	// credential is only read here; the client shows its own ([ClientOptions]).
	Forwarder backends.Forwarder
	// Authorize is asked, with the caller's context, whether the caller may infer
	// on a model that a sampling parameter chooses. Its error is the request's.
	// Without it, such parameters are refused.
	Authorize func(ctx context.Context, model string) error
	// Replicated: other replicas can do the same. A stream whose server turns out
	// to be away before anything was answered ends with that error, so that
	// whoever holds the replicas can ask another one. Without it, each request has
	// its own error and the stream goes on.
	Replicated bool
	// StrictDecoupled refuses ModelInfer as Triton does.
	StrictDecoupled bool
	// Embeds: the server's models embed text and generate none.
	Embeds bool
	// Images: messages may hold images, as data: URLs.
	Images bool
	// AdapterPaths are the adapters that may be loaded, by name: where each lies
	// on the server's disk.
	AdapterPaths map[string]string
	// Log hears why a request of a stream failed, where its caller does not.
	Log *slog.Logger
	// CallerPaths lets a load name the adapter's path itself.
	CallerPaths bool
}

// Backend is one server of generated text.
type Backend struct {
	opts    Options
	catalog *catalog
	counts  *statistics
	traits  backends.Traits
	open    context.Context //nolint:containedctx // ends with the backend
	close   context.CancelCauseFunc
}

var _ backends.Backend = (*Backend)(nil)

// New makes the backend. It asks the server nothing yet: one that is away is an
// error of the calls to it.
func New(o Options) *Backend {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := &Backend{opts: o, catalog: newCatalog(o), counts: newStatistics()}
	b.open, b.close = context.WithCancelCause(context.Background())
	b.traits = backends.Traits{Silent: true, Slashes: true, Missing: make(map[string]bool)}
	for _, name := range methods() {
		if b.handler(name) == nil && name != inference.GRPCInferenceService_ModelStreamInfer_FullMethodName {
			b.traits.Missing[name] = true
		}
	}
	return b
}

// Name is the backend's name in the configuration.
func (b *Backend) Name() string { return b.opts.Name }

// Traits tells which RPCs have no place on such a server.
func (b *Backend) Traits() backends.Traits { return b.traits }

// passed by default: what belongs to a trace. Everything else of a caller's
// metadata must be named by the configuration, for to an HTTP server any header
// may mean something.
var passedByDefault = []string{"traceparent", "tracestate"}

// Outgoing adds what goes on of a caller's metadata. A credential that cannot be
// read ends the call here, as it does for every backend; shown it is by the client.
func (b *Backend) Outgoing(ctx context.Context, metadata map[string][]string) (context.Context, error) {
	f := b.opts.Forwarder
	if f.Credential != nil {
		if _, err := f.Credential(); err != nil {
			return nil, err
		}
		f.Credential = nil
	}
	if len(f.Allow) == 0 {
		f.Allow = passedByDefault
	}
	return f.Outgoing(ctx, metadata)
}

// errClosed ends the calls on a backend that was closed.
var errClosed = &access.Error{
	Kind: access.Unavailable, Reason: access.ReasonBackendAway, RetryAfter: time.Second,
	Message: "the model's server was taken out of the configuration; try again",
}

// Close ends all calls.
func (b *Backend) Close() error {
	b.close(errClosed)
	if c, ok := b.opts.Server.(interface{ Close() }); ok {
		c.Close()
	}
	return nil
}

// begin is a call's context, which ends with the backend too.
func (b *Backend) begin(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if b.open.Err() != nil {
		cancel(context.Cause(b.open)) // what AfterFunc would do a moment later
		return ctx, cancel
	}
	stop := context.AfterFunc(b.open, func() { cancel(context.Cause(b.open)) })
	context.AfterFunc(ctx, func() { stop() })
	return ctx, cancel
}

// Invoke answers one unary call.
func (b *Backend) Invoke(ctx context.Context, method string, req, resp any, _ ...grpc.CallOption) error {
	handle := b.handler(method)
	if handle == nil {
		return b.missing(method)
	}
	ctx, cancel := b.begin(ctx)
	defer cancel(nil)
	answer, err := handle(ctx, req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return deliver(answer, resp)
}

// missing is the answer to an RPC that has no place here.
func (b *Backend) missing(method string) error {
	return unsupported("this model's server does not serve %s", rpcName(method))
}

var errUnknownType = errors.New("generate: a message is neither protobuf nor bytes")

// receive decodes a request, whatever it came as, and tells its size in bytes. A
// message that is handed over is empty afterwards.
func receive(from any, into proto.Message) (size int, err error) {
	switch m := from.(type) {
	case *wire.Message:
		return m.Len(), m.Unmarshal(into)
	case wire.HandOver:
		size, err = m.Len(), m.Unmarshal(into)
		m.Reset()
		return size, err
	case proto.Message:
		b, err := proto.Marshal(m)
		if err != nil {
			return 0, err
		}
		return len(b), proto.Unmarshal(b, into)
	}
	return 0, errUnknownType
}

// deliver gives an answer, a message or its bytes, to whom the call is for.
func deliver(answer, to any) error {
	b, ok := answer.([]byte)
	if !ok {
		m, ok := answer.(proto.Message)
		if !ok {
			return errUnknownType
		}
		var err error
		if b, err = proto.Marshal(m); err != nil {
			return err
		}
	}
	return (wire.Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, to)
}
