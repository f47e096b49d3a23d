package pool_test

import (
	"context"
	"log/slog"
	"testing"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// instant is a replica that answers at once with nothing.
type instant struct{}

var _ backends.Backend = instant{}

func (instant) Name() string            { return "gpu" }
func (instant) Traits() backends.Traits { return backends.Traits{} }
func (instant) Close() error            { return nil }
func (instant) Outgoing(ctx context.Context, _ map[string][]string) (context.Context, error) {
	return ctx, nil
}

func (instant) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return nil }

func (instant) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, nil
}

// BenchmarkInvoke is what a pool adds to an infer call.
func BenchmarkInvoke(b *testing.B) {
	plain, limited := config("a:1"), config("a:1")
	limited.Limits.Concurrency = 64
	for name, c := range map[string]backends.Config{
		"one": plain, "one with a limit": limited, "three": config("a:1", "b:1", "c:1"),
	} {
		b.Run(name, func(b *testing.B) {
			p, err := pool.New(pool.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Open: func(string, string) (backends.Backend, error) { return instant{}, nil }})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = p.Close() }()
			bench(b, p)
		})
	}
	b.Run("no pool", func(b *testing.B) { bench(b, instant{}) })
}

func bench(b *testing.B, backend backends.Backend) {
	ctx, err := backend.Outgoing(as(context.Background(), "alice"), nil)
	if err != nil {
		b.Fatal(err)
	}
	m, err := wire.FromProto(&inference.ModelInferRequest{
		ModelName: "simple", Id: "1",
		Inputs:           []*inference.ModelInferRequest_InferInputTensor{{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, 16}}, {Name: "INPUT1", Datatype: "INT32", Shape: []int64{1, 16}}},
		RawInputContents: [][]byte{make([]byte, 64), make([]byte, 64)},
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := m.InferRequest(); err != nil {
		b.Fatal(err)
	}
	resp := new(wire.Message)
	b.ReportAllocs()
	for b.Loop() {
		if err := backend.Invoke(ctx, modelInfer, wire.HandOver{Message: m}, resp); err != nil {
			b.Fatal(err)
		}
	}
}
