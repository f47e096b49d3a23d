// Package session is the step that knows each principal's sessions and ends them:
// it notes each call in the registry of package session, refuses those of
// principals who are kept out, and stops the calls of who is ended. What a
// connection is it learns from the [Listener] that the doors listen on.
package session

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/session"
	"github.com/sluice-gateway/sluice/wire"
)

// Gate is the step. It is safe for concurrent use.
type Gate struct {
	Registry *session.Registry
}

// Step returns the interceptor's two forms.
func (g *Gate) Step() interceptors.Step {
	return interceptors.Step{Name: interceptors.Session, Unary: g.unary, Stream: g.stream}
}

func (g *Gate) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	call := access.CallFrom(ctx)
	if call == nil || call.Principal == nil { // a probe
		return handler(ctx, req)
	}
	o := &open{}
	ctx = o.stoppable(ctx)
	if err := g.conn(ctx).Open(call, &o.Call, o); err != nil {
		return nil, err
	}
	defer o.close(call)
	resp, err := handler(ctx, req)
	if why := o.Ended(); why != nil {
		if m, ok := resp.(*wire.Message); ok {
			m.Free() // nobody else does
		}
		return nil, why
	}
	return resp, err
}

func (g *Gate) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	call := access.CallFrom(ss.Context())
	if call == nil || call.Principal == nil {
		return handler(srv, ss)
	}
	o := &open{}
	if ctx := o.stoppable(ss.Context()); ctx != ss.Context() {
		ss = interceptors.WithContext(ss, ctx)
	}
	if err := g.conn(ss.Context()).Open(call, &o.Call, o); err != nil {
		return err
	}
	defer o.close(call)
	heard := call.OnMessage
	call.OnMessage = func(m access.Message) {
		if m.Decision.Allowed { // policy's word, once for each message
			o.Message(m.Model, time.Now())
		}
		if heard != nil {
			heard(m)
		}
	}
	err := handler(srv, ss)
	if why := o.Ended(); why != nil {
		return why // whatever came of it
	}
	return err
}

// conn is the connection that a call came in on.
func (g *Gate) conn(ctx context.Context) *session.Conn {
	if p, ok := peer.FromContext(ctx); ok {
		if a, ok := p.Addr.(*address); ok {
			return a.conn
		}
	}
	if a, ok := access.PeerFrom(ctx).(*address); ok { // gRPC that net/http has read
		return a.conn
	}
	return g.Registry.Nowhere()
}

// stream is what the doors' own streams can do beyond the public interface: end
// with a status at once, which ends their context and what they wait for on the
// network. grpc-go's can; a test shows that the one in use still can.
type stream interface {
	WriteStatus(st *status.Status) error
}

// open is a call that is open.
type open struct {
	session.Call
	stream stream                  // nil where the door has no such
	cancel context.CancelCauseFunc // nil where stream is not
}

// stoppable returns the context that ends when the call is ended: ctx itself
// where the door's stream ends it, since another one is dear.
func (o *open) stoppable(ctx context.Context) context.Context {
	if o.stream, _ = grpc.ServerTransportStreamFromContext(ctx).(stream); o.stream == nil {
		ctx, o.cancel = context.WithCancelCause(ctx)
	}
	return ctx
}

// End stops the call. The caller is told at once, whatever the handler does.
func (o *open) End(why *access.Error) {
	if o.stream != nil {
		// It fails only where it has ended already. Behind net/http it may wait for
		// a client that reads slowly.
		go func() { _ = o.stream.WriteStatus(status.Convert(interceptors.ToStatus(why))) }()
		return
	}
	o.cancel(why)
}

func (o *open) close(call *access.Call) {
	o.Close(call)
	if o.cancel != nil {
		o.cancel(nil)
	}
}
