package backend_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/bench/backend"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// dial gives a connection of the stock codec to a new backend: what the
// benchmark writes by hand must be readable to any client.
func dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := backend.New("bench", 1<<10)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	cc, err := grpc.NewClient("passthrough:///"+l.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cc.Close(); err != nil {
			t.Error(err)
		}
		s.Stop()
		<-done
	})
	return cc
}

func request(params map[string]int64) *inference.ModelInferRequest {
	req := &inference.ModelInferRequest{ModelName: "bench", Id: "7", Parameters: map[string]*inference.InferParameter{}}
	for k, v := range params {
		req.Parameters[k] = &inference.InferParameter{
			ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: v},
		}
	}
	return req
}

func TestInfer(t *testing.T) {
	client := inference.NewGRPCInferenceServiceClient(dial(t))
	resp, err := client.ModelInfer(t.Context(), request(map[string]int64{"bench_output": 64}))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Id != "7" || len(resp.RawOutputContents) != 1 || len(resp.RawOutputContents[0]) != 64 {
		t.Errorf("answer %v", resp)
	}
	refused := map[string]*inference.ModelInferRequest{
		"no model":        {},
		"tensor missing":  request(map[string]int64{"bench_input": 4096}),
		"output too long": request(map[string]int64{"bench_output": 1 << 20}),
	}
	for name, req := range refused {
		t.Run(name, func(t *testing.T) {
			if _, err := client.ModelInfer(t.Context(), req); status.Code(err) != codes.InvalidArgument {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestStream(t *testing.T) {
	stream, err := inference.NewGRPCInferenceServiceClient(dial(t)).ModelStreamInfer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, params := range []map[string]int64{
		{"bench_tokens": 3},
		{"bench_tokens": 2, "bench_interval_ns": int64(5 * time.Millisecond)},
	} {
		if err := stream.Send(request(params)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var finals []bool
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		finals = append(finals, resp.InferResponse.Parameters["triton_final_response"].GetBoolParam())
	}
	want := []bool{false, false, true, false, true}
	if len(finals) != len(want) {
		t.Fatalf("finals %v, want %v", finals, want)
	}
	for i := range want {
		if finals[i] != want[i] {
			t.Errorf("finals %v, want %v", finals, want)
		}
	}
	if took := time.Since(began); took < 10*time.Millisecond {
		t.Errorf("two tokens 5 ms apart took %v", took)
	}
}

func TestStreamRefuses(t *testing.T) {
	stream, err := inference.NewGRPCInferenceServiceClient(dial(t)).ModelStreamInfer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&inference.ModelInferRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("error %v", err)
	}
}

func TestWhatGatewaysAsk(t *testing.T) {
	cc := dial(t)
	client := inference.NewGRPCInferenceServiceClient(cc)
	ready, err := client.ServerReady(t.Context(), &inference.ServerReadyRequest{})
	if err != nil || !ready.Ready {
		t.Errorf("ready = %v, %v", ready, err)
	}
	index, err := client.RepositoryIndex(t.Context(), &inference.RepositoryIndexRequest{})
	if err != nil || index.Models[0].Name != "bench" {
		t.Errorf("index = %v, %v", index, err)
	}
	config, err := client.ModelConfig(t.Context(), &inference.ModelConfigRequest{Name: "bench"})
	if err != nil || !config.GetConfig().GetModelTransactionPolicy().GetDecoupled() {
		t.Errorf("config = %v, %v", config, err)
	}
	health, err := healthpb.NewHealthClient(cc).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || health.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health = %v, %v", health, err)
	}
}
