package interceptors

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
)

// Refuse has a call opened, counted and recorded that a door has refused already,
// before the chain could begin: nothing of it is decided, and whose it was is not
// known. ctx has the caller's address, and the door ([access.WithDoor]); about, if not
// nil, fills in what is known of the call.
func (c *Chain) Refuse(ctx context.Context, method string, about func(*access.Call), why error) {
	run := func(ctx context.Context, _ any) (any, error) {
		if call := access.CallFrom(ctx); call != nil && about != nil {
			about(call)
		}
		return nil, why
	}
	info := &grpc.UnaryServerInfo{FullMethod: method}
	for _, s := range slices.Backward(c.steps) {
		if s.Name == Recovery || s.Name == Telemetry || s.Name == Record {
			inner := run
			run = func(ctx context.Context, req any) (any, error) { return s.Unary(ctx, req, info, inner) }
		}
	}
	_, _ = run(ctx, nil) // the caller has been told
}
