package replay

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"

	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// door is the gateway's over gRPC.
type door struct{ client pb.GRPCInferenceServiceClient }

// NewDoor returns the door of a gateway, reached over a connection that shows the
// token of who replays (grpc.WithPerRPCCredentials).
func NewDoor(conn grpc.ClientConnInterface) Door {
	return door{pb.NewGRPCInferenceServiceClient(conn)}
}

func (d door) Infer(ctx context.Context, r *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	return d.client.ModelInfer(ctx, r)
}

func (d door) Stream(ctx context.Context, r *pb.ModelInferRequest) iter.Seq2[*pb.ModelStreamInferResponse, error] {
	return func(yield func(*pb.ModelStreamInferResponse, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // ends the stream where who reads has enough
		stream, err := d.client.ModelStreamInfer(ctx)
		if err == nil {
			_ = stream.Send(r) // why it failed is what Recv gives
			_ = stream.CloseSend()
		}
		for err == nil {
			var m *pb.ModelStreamInferResponse
			if m, err = stream.Recv(); err == nil && !yield(m, nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(nil, err)
		}
	}
}
