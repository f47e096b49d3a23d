// Package telemetry opens each call: it gives it an id, notes the door and the
// caller's address, reads the metadata once, and counts what became of it in
// Prometheus metrics. It knows nothing of what the other steps decide; they
// write into the [access.Call] that it puts into the context.
package telemetry

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors"
)

// Telemetry is the step. It is safe for concurrent use.
type Telemetry struct {
	Metrics *Metrics
	// Proxies returns the peers whose x-forwarded-for is believed at the moment.
	Proxies func() Proxies
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Step returns the interceptor's two forms.
func (t *Telemetry) Step() interceptors.Step {
	return interceptors.Step{Name: interceptors.Telemetry, Unary: t.unary, Stream: t.stream}
}

func (t *Telemetry) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	call := t.open(ctx, info.FullMethod)
	panicked := true
	defer func() { t.close(call, err, panicked) }()
	resp, err = handler(access.WithCall(ctx, call), req)
	panicked = false
	return resp, err
}

func (t *Telemetry) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	call := t.open(ss.Context(), info.FullMethod)
	call.Stream = true
	call.OnMessage = t.Metrics.onMessage
	panicked := true
	defer func() { t.close(call, err, panicked) }()
	err = handler(srv, interceptors.WithContext(ss, access.WithCall(ss.Context(), call)))
	panicked = false
	return err
}

// open makes the call that all inner steps write into.
func (t *Telemetry) open(ctx context.Context, method string) *access.Call {
	md, ok := ctx.Value(metadataKey{}).(metadata.MD)
	if !ok {
		md, _ = metadata.FromIncomingContext(ctx)
	}
	call := &access.Call{
		ID:       newID(),
		RPC:      method[strings.LastIndexByte(method, '/')+1:],
		Door:     "grpc",
		Opened:   t.now(),
		Metadata: md,
	}
	if p, ok := peer.FromContext(ctx); ok {
		call.Peer = t.Proxies().Client(p.Addr, md["x-forwarded-for"])
		if from := access.PeerFrom(ctx); from != nil && !call.Peer.IsValid() { // gRPC that net/http has read has a text alone
			call.Peer = t.Proxies().Client(from, md["x-forwarded-for"])
		}
	}
	call.OnMasked = t.Metrics.onMasked
	call.OnGuard = t.Metrics.onGuard
	if door := access.DoorFrom(ctx); door != nil {
		call.Door = door.Name
		if door.Opened != nil {
			door.Opened(call)
		}
	}
	t.Metrics.inFlight.Inc()
	return call
}

func (t *Telemetry) close(call *access.Call, err error, panicked bool) {
	if panicked {
		err = interceptors.ErrInternal
	}
	call.Note(err)
	code := status.Code(interceptors.ToStatus(err))
	t.Metrics.closed(call, code, t.now().Sub(call.Opened))
}

func (t *Telemetry) now() time.Time {
	if t.Now != nil {
		return t.Now()
	}
	return time.Now()
}

type metadataKey struct{}

// Tap hands a call's metadata to the chain as the transport has read it;
// [metadata.FromIncomingContext] would copy all of it. It is a
// [tap.ServerInHandle] and refuses nothing: it runs under the connection's
// lock, where nothing may wait.
func Tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	return context.WithValue(ctx, metadataKey{}, info.Header), nil
}

// newID returns 16 hexadecimal digits, as good as unique. A caller's own request
// id is not taken over: it could be chosen to hide in another's.
func newID() string {
	const digits = "0123456789abcdef"
	var b [16]byte
	for i, n := 0, rand.Uint64(); i < len(b); i, n = i+1, n>>4 {
		b[i] = digits[n&15]
	}
	return string(b[:])
}
