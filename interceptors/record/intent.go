package record

import (
	"context"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors"
)

// Intent returns the step that stands inside of all that decides: it has the
// record written of what must not be done unrecorded, before it is done.
func Intent() interceptors.Step {
	return interceptors.Step{Name: interceptors.Intent, Unary: intentUnary, Stream: intentStream}
}

func intentUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if call := access.CallFrom(ctx); call.Intent != nil {
		if err := call.Intent(ctx); err != nil {
			return nil, err
		}
	}
	return handler(ctx, req)
}

func intentStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, ss)
}
