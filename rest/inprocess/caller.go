package inprocess

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/sluice-gateway/sluice/access"
)

// Caller is who makes the calls of a context, as the server's side gets to see it.
type Caller struct {
	// Peer is the address that the caller came from.
	Peer net.Addr
	// Metadata is what the caller sent, keys in lower case. Nobody writes to it
	// any more.
	Metadata metadata.MD
	// Door is how the caller came in.
	Door *access.Door
	// Interrupt, if set, ends what waits for the caller to send, when a call of his
	// is ended from outside. It must not wait, and may be called at any time.
	Interrupt func()
}

type callerKey struct{}

// WithCaller returns a context whose in-process calls c makes.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

func callerFrom(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}

// serverContext is the context that a handler gets: it ends with ctx and at
// ctx's deadline, and carries the caller and the call. None of ctx's values pass:
// outgoing metadata among them would go on to a backend, the caller's token with it.
func serverContext(ctx context.Context, c *call) (context.Context, context.CancelFunc) {
	caller := callerFrom(ctx)
	inner := peer.NewContext(context.Background(), &peer.Peer{Addr: caller.Peer})
	inner = metadata.NewIncomingContext(inner, caller.Metadata)
	inner = access.WithDoor(inner, caller.Door)
	inner = grpc.NewContextWithServerTransportStream(inner, c)
	var cancel context.CancelFunc
	if deadline, ok := ctx.Deadline(); ok {
		inner, cancel = context.WithDeadline(inner, deadline)
	} else {
		inner, cancel = context.WithCancel(inner)
	}
	stop := context.AfterFunc(ctx, func() {
		if ctx.Err() != context.DeadlineExceeded { // which inner has itself, and would call a cancel
			cancel()
		}
	})
	c.end = func() {
		cancel()
		if caller.Interrupt != nil {
			caller.Interrupt()
		}
	}
	return inner, func() { stop(); cancel() }
}
