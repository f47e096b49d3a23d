package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/rest"
	"github.com/sluice-gateway/sluice/wire"
)

// TestEachStepIsMissedOverREST does the same through the REST door: every step
// of the chain runs for its calls, unary and streamed.
func TestEachStepIsMissedOverREST(t *testing.T) {
	b := newBench(t)
	b.through = b.overREST
	eachStepIsMissed(t, b)
}

// overREST makes a call through the REST door onto a chain, and a status of what
// HTTP answers.
func (b *bench) overREST(c *interceptors.Chain, kind, token string, message proto.Message, handler func() error) error {
	b.t.Helper()
	const unary, stream = inference.GRPCInferenceService_ModelInfer_FullMethodName, inference.GRPCInferenceService_ModelStreamInfer_FullMethodName
	answer := b.overHTTP(rest.Options{
		Handlers: map[string]grpc.StreamHandler{
			unary:  c.Unary(unary, func(context.Context, any) (any, error) { return &inference.ModelInferResponse{}, handler() }),
			stream: c.Stream(stream, reading(func(grpc.ServerStream) error { return handler() })),
		},
		ModelConfig: func(context.Context, *access.Call, string, string) (*inference.ModelConfig, error) {
			return &inference.ModelConfig{Input: []*inference.ModelInput{{Name: "TEXT", DataType: inference.DataType_TYPE_STRING, Dims: []int64{1}}}}, nil
		},
	}, token, b.httpRequest(kind, message.(*inference.ModelInferRequest)))
	var said struct{ Error string }
	return statusOf(answer, &said, &said.Error)
}

// overHTTP asks a door of its own, under a token unless it is empty.
func (b *bench) overHTTP(o rest.Options, token string, r *http.Request) *httptest.ResponseRecorder {
	b.t.Helper()
	door, err := rest.New(o)
	if err != nil {
		b.t.Fatal(err)
	}
	defer door.Wait()
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer := httptest.NewRecorder()
	door.ServeHTTP(answer, r)
	return answer
}

// reading is a stream's handler that reads one request before it goes on.
func reading(then func(ss grpc.ServerStream) error) grpc.StreamHandler {
	return func(_ any, ss grpc.ServerStream) error {
		var m wire.Message
		if err := ss.RecvMsg(&m); err != nil {
			return err
		}
		defer m.Free()
		return then(ss)
	}
}

// httpRequest says over HTTP what a message says.
func (b *bench) httpRequest(kind string, m *inference.ModelInferRequest) *http.Request {
	b.t.Helper()
	var raw []byte
	for _, part := range m.GetRawInputContents() {
		raw = append(raw, part...)
	}
	path := "/v2/models/" + m.GetModelName()
	if kind == "stream" {
		text := fmt.Sprintf(`{"TEXT":%q}`, strings.Repeat("x", len(raw)))
		return httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, path+"/generate_stream", strings.NewReader(text))
	}
	head := fmt.Sprintf(`{"inputs":[{"name":"RAW","datatype":"UINT8","shape":[%d],"parameters":{"binary_data_size":%d}}]}`, len(raw), len(raw))
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, path+"/infer", bytes.NewReader(append([]byte(head), raw...)))
	r.Header.Set("Inference-Header-Content-Length", fmt.Sprint(len(head)))
	return r
}

var codeOf = map[int]codes.Code{
	http.StatusUnauthorized: codes.Unauthenticated, http.StatusForbidden: codes.PermissionDenied, http.StatusTooManyRequests: codes.ResourceExhausted,
	http.StatusInternalServerError: codes.Internal, http.StatusServiceUnavailable: codes.Unavailable, http.StatusBadRequest: codes.InvalidArgument, http.StatusConflict: codes.FailedPrecondition,
}

// statusOf makes of an HTTP answer the status that gRPC would have had. said is what an
// error is in JSON, message the place in it of what it says.
func statusOf(answer *httptest.ResponseRecorder, said any, message *string) error {
	if answer.Code == http.StatusOK {
		return nil
	}
	body := strings.TrimPrefix(answer.Body.String(), "data: ")
	if err := json.Unmarshal([]byte(body), said); err != nil {
		return fmt.Errorf("answer %d is no error in JSON: %q", answer.Code, body)
	}
	return status.Error(codeOf[answer.Code], *message)
}
