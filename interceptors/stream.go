package interceptors

import (
	"context"

	"google.golang.org/grpc"
)

// WithContext returns ss with another context, for a step that adds to it.
func WithContext(ss grpc.ServerStream, ctx context.Context) grpc.ServerStream {
	return &contextStream{ServerStream: ss, ctx: ctx}
}

type contextStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // a ServerStream is asked for its context by contract
}

func (s *contextStream) Context() context.Context { return s.ctx }
