package server

import (
	"context"
	"io"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// BenchmarkChain is what the gateway itself adds to a small infer and to a
// message of a stream: identity of a known token, policy, metrics and the call
// log on, without a transport and without a backend.
func BenchmarkChain(b *testing.B) {
	for name, audit := range map[string]string{"unrecorded": `audit: { sqlite: "off" }`, "recorded": "audit: { sqlite: audit.db, queue: 1000000 }"} {
		b.Run(name, func(b *testing.B) { benchmarkChain(b, audit) })
	}
}

func benchmarkChain(b *testing.B, audit string) {
	bench := newBenchWith(b, audit)
	bench.server.log = slog.New(slog.NewJSONHandler(io.Discard, nil))
	chain, err := bench.server.Chain()
	if err != nil {
		b.Fatal(err)
	}
	token, err := bench.issuer.Token("bob")
	if err != nil {
		b.Fatal(err)
	}
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs(
		"authorization", "Bearer "+token, ":authority", "localhost:8001", "content-type", "application/grpc", "user-agent", "grpc-python", "grpc-accept-encoding", "identity, deflate, gzip"))
	ctx = grpc.NewContextWithServerTransportStream(ctx, doorStream{})
	raw, err := proto.Marshal(&inference.ModelInferRequest{
		ModelName: "simple", Id: "1",
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, 16}}, {Name: "INPUT1", Datatype: "INT32", Shape: []int64{1, 16}},
		},
		RawInputContents: [][]byte{make([]byte, 64), make([]byte, 64)},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("unary", func(b *testing.B) {
		answer := &inference.ModelInferResponse{}
		handler := chain.Unary(inference.GRPCInferenceService_ModelInfer_FullMethodName, func(context.Context, any) (any, error) { return answer, nil })
		b.ReportAllocs()
		defer cpu(b, bench.server)()
		for b.Loop() {
			if err := handler(nil, &incoming{ctx: ctx, messages: [][]byte{raw}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("message", func(b *testing.B) {
		b.ReportAllocs()
		defer cpu(b, bench.server)()
		err := chain.Stream(inference.GRPCInferenceService_ModelStreamInfer_FullMethodName, func(_ any, ss grpc.ServerStream) error {
			for b.Loop() {
				var m wire.Message
				if err := ss.RecvMsg(&m); err != nil {
					return err
				}
				m.Free()
			}
			return nil
		})(nil, &endless{incoming{ctx: ctx}, raw})
		if err != nil {
			b.Fatal(err)
		}
	})
}

// doorStream is a stream that can be ended from outside, as those of the doors can.
type doorStream struct{ grpc.ServerTransportStream }

func (doorStream) WriteStatus(*status.Status) error { return nil }

// endless brings one message for ever.
type endless struct {
	incoming
	raw []byte
}

func (s *endless) RecvMsg(m any) error { return m.(*wire.Message).Take(wire.FromBytes(s.raw)) }

// cpu reports what CPU each turn took, the writing of its record included.
func cpu(b *testing.B, s *Server) (report func()) {
	b.Helper()
	used := func() time.Duration {
		for s.audit != nil && s.audit.Status().Queued > 0 {
			time.Sleep(time.Millisecond)
		}
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op") }
}
