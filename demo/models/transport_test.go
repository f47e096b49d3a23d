package models_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/demo/models"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// headers keeps what the server's headers say about compression.
type headers struct {
	mu          sync.Mutex
	compression []string
}

func (*headers) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*headers) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*headers) HandleConn(context.Context, stats.ConnStats)                       {}

func (h *headers) HandleRPC(_ context.Context, s stats.RPCStats) {
	if in, ok := s.(*stats.InHeader); ok {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.compression = append(h.compression, in.Compression)
	}
}

func TestCompressedRequests(t *testing.T) {
	for _, name := range []string{"gzip", "deflate"} {
		t.Run(name, func(t *testing.T) {
			if encoding.GetCompressor(name) == nil {
				t.Fatal("the process has no such compressor")
			}
			seen := &headers{}
			c := inference.NewGRPCInferenceServiceClient(dial(t, models.Options{ChunkDelay: -1}, grpc.WithStatsHandler(seen), grpc.WithDefaultCallOptions(grpc.UseCompressor(name))))
			must[*inference.ModelInferResponse](t)(c.ModelInfer(t.Context(), addRequest("")))
			if answers, err := stream(t.Context(), t, c, addRequest("")); err != nil || len(answers) != 1 {
				t.Fatalf("stream: %v, %v", answers, err)
			}
			for _, compression := range seen.compression {
				if compression != "" && compression != encoding.Identity {
					t.Errorf("an answer came with grpc-encoding %q", compression)
				}
			}
			if len(seen.compression) != 2 {
				t.Errorf("%d answers were seen, want 2", len(seen.compression))
			}
		})
	}
}

// TestLargeMessages are above gRPC's default limit, both ways.
func TestLargeMessages(t *testing.T) {
	data := make([]byte, 32<<20)
	r := request("identity_fp32", "", tensor{"INPUT0", "FP32", []int64{1, int64(len(data) / 4)}, data})
	got := must[*inference.ModelInferResponse](t)(client(t).ModelInfer(t.Context(), r))
	if len(got.GetRawOutputContents()[0]) != len(data) {
		t.Errorf("%d bytes came back of %d", len(got.GetRawOutputContents()[0]), len(data))
	}
}

func TestUnknownMethods(t *testing.T) {
	conn := dial(t, models.Options{})
	for _, method := range []string{
		"/inference.GRPCInferenceService/ModelInferX", "/no.Such/Method", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	} {
		err := conn.Invoke(t.Context(), method, &inference.ServerLiveRequest{}, &inference.ServerLiveResponse{})
		wantStatus(t, err, codes.Unimplemented, "")
	}
}

// TestAtTheSameTime lets calls of all kinds meet; the race detector looks on.
func TestAtTheSameTime(t *testing.T) {
	c := client(t)
	var wg sync.WaitGroup
	for _, one := range []func() error{
		func() error { _, _ = c.ModelInfer(t.Context(), addRequest("")); return nil }, // may find it unloaded
		func() error {
			_, err := stream(t.Context(), t, c, prompt(true, ""), repeatRequest("", 0, 1))
			return err
		},
		func() error {
			return errors.Join(unload(t.Context(), c, "simple"), load(t.Context(), c, "simple", nil))
		},
		func() error {
			_, err := c.ModelStatistics(t.Context(), &inference.ModelStatisticsRequest{})
			return err
		},
		func() error {
			_, err := c.RepositoryIndex(t.Context(), &inference.RepositoryIndexRequest{})
			return err
		},
	} {
		for range 2 {
			wg.Go(func() {
				for range 20 {
					if err := one(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	must[*inference.ModelInferResponse](t)(c.ModelInfer(t.Context(), addRequest("")))
}

// FuzzModelInfer: no request that protobuf accepts makes the server panic, and
// what it answers has one raw output for each output.
func FuzzModelInfer(f *testing.F) {
	for _, r := range []*inference.ModelInferRequest{
		addRequest("q"), repeatRequest("r", 0, 1), prompt(false, `{"max_tokens":1}`), failures()[0].request, failures()[1].request, step(intParam(1), true, true, 1),
		request("simple_identity", "", tensor{"INPUT0", "BYTES", []int64{1, 2}, bytesData("a", "")}),
		{ModelName: "identity_fp32", Inputs: []*inference.ModelInferRequest_InferInputTensor{{
			Name: "INPUT0", Datatype: "FP32", Shape: []int64{0, -1}, Contents: &inference.InferTensorContents{Fp32Contents: []float32{1}},
		}}},
	} {
		f.Add(must[[]byte](f)(proto.Marshal(r)))
	}
	s := models.New(models.Options{ChunkDelay: -1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &inference.ModelInferRequest{}
		if proto.Unmarshal(b, r) != nil {
			return
		}
		answer, err := s.ModelInfer(t.Context(), r)
		if err == nil && len(answer.GetOutputs()) != len(answer.GetRawOutputContents()) {
			t.Errorf("%d outputs, %d raw", len(answer.GetOutputs()), len(answer.GetRawOutputContents()))
		}
	})
}
