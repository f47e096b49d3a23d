// Package session is the step that knows each principal's sessions and ends them.
// It passes calls on as they are so far.
package session

import (
	"context"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/interceptors"
)

// Gate is the step. It is safe for concurrent use.
type Gate struct{}

// Step returns the interceptor's two forms.
func (g *Gate) Step() interceptors.Step {
	return interceptors.Step{Name: interceptors.Session, Unary: g.unary, Stream: g.stream}
}

func (g *Gate) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(ctx, req)
}

func (g *Gate) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, ss)
}
