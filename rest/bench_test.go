package rest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest"
	"github.com/sluice-gateway/sluice/wire"
)

// BenchmarkToken is what the door adds to each token of …/generate_stream: from
// the handler's answer to the bytes of a connection.
func BenchmarkToken(b *testing.B) {
	token, err := wire.FromProto(&pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{
		ModelName: "m", ModelVersion: "1",
		Parameters:        map[string]*pb.InferParameter{"triton_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{}}},
		Outputs:           []*pb.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
		RawOutputContents: [][]byte{[]byte("\x06\x00\x00\x00 token")},
	}})
	if err != nil {
		b.Fatal(err)
	}
	account := wire.NewBudget(wire.BudgetConfig{}).Account("p")
	door, err := rest.New(rest.Options{
		Handlers: map[string]grpc.StreamHandler{pb.GRPCInferenceService_ModelStreamInfer_FullMethodName: func(_ any, ss grpc.ServerStream) error {
			access.DoorFrom(ss.Context()).Opened(&access.Call{ID: "1"})
			var m wire.Message
			if err := wire.NewReceiver(ss).Recv(&m, account); err != nil {
				return err
			}
			m.Free()
			for b.Loop() {
				if err := ss.SendMsg(token); err != nil {
					return err
				}
			}
			return nil
		}},
		ModelConfig: func(context.Context, *access.Call, string, string) (*pb.ModelConfig, error) {
			return new(pb.ModelConfig), nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(door)
	defer server.Close()
	b.ReportAllocs()
	resp, err := http.Post(server.URL+"/v2/models/m/generate_stream", "application/json", strings.NewReader(`{}`))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n == 0 || resp.StatusCode != http.StatusOK {
		b.Fatal(n, err, resp.Status)
	}
}
