package server

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/rest"
	"github.com/sluice-gateway/sluice/wire"
)

// TestEachStepIsMissedOverOpenAI does the same through OpenAI's routes, answered
// whole and in events.
func TestEachStepIsMissedOverOpenAI(t *testing.T) {
	b := newBench(t)
	b.through = b.overOpenAI
	eachStepIsMissed(t, b)
}

func (b *bench) overOpenAI(c *interceptors.Chain, kind, token string, message proto.Message, handler func() error) error {
	b.t.Helper()
	const stream = inference.GRPCInferenceService_ModelStreamInfer_FullMethodName
	m := message.(*inference.ModelInferRequest)
	size := 0
	for _, part := range m.GetRawInputContents() {
		size += len(part)
	}
	body := fmt.Sprintf(`{"model":%q,"prompt":%q,"stream":%t}`, m.GetModelName(), strings.Repeat("x", size), kind == "stream")
	answer := b.overHTTP(rest.Options{
		OpenAI: func() bool { return true },
		Handlers: map[string]grpc.StreamHandler{stream: c.Stream(stream, reading(func(ss grpc.ServerStream) error {
			if err := handler(); err != nil {
				return err
			}
			return sendText(ss)
		}))},
		ModelConfig: func(context.Context, *access.Call, string, string) (*inference.ModelConfig, error) {
			return &inference.ModelConfig{
				Input:  []*inference.ModelInput{{Name: "text_input", Dims: []int64{1}}},
				Output: []*inference.ModelOutput{{Name: "text_output", Dims: []int64{-1}}},
			}, nil
		},
	}, token, httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, "/v1/completions", strings.NewReader(body)))
	var said struct{ Error struct{ Message string } }
	return statusOf(answer, &said, &said.Error.Message)
}

// sendText answers with a text of one letter.
func sendText(ss grpc.ServerStream) error {
	answer, err := wire.FromProto(&inference.ModelStreamInferResponse{InferResponse: &inference.ModelInferResponse{
		Outputs:           []*inference.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
		RawOutputContents: [][]byte{{1, 0, 0, 0, 'x'}},
	}})
	if err != nil {
		return err
	}
	defer answer.Free()
	return ss.SendMsg(answer)
}
