package rest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest"
)

// token is an answer of a stream that says one text.
func token(text string) proto.Message {
	raw := append([]byte{byte(len(text)), 0, 0, 0}, text...)
	return &pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{
		ModelName: "m", ModelVersion: "1", Parameters: map[string]*pb.InferParameter{"triton_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{}}},
		Outputs:           []*pb.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
		RawOutputContents: [][]byte{raw},
	}}
}

// failed is an error of a stream: one that a model made, or one from before.
func failed(text, model, reason string) proto.Message {
	resp := &pb.ModelInferResponse{Id: "1", ModelName: model}
	if reason != "" {
		resp.Parameters = map[string]*pb.InferParameter{"sluice_reason": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: reason}}}
	}
	return &pb.ModelStreamInferResponse{ErrorMessage: text, InferResponse: resp}
}

func TestGeneratedAnswers(t *testing.T) {
	final := &pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{ModelName: "m", Parameters: map[string]*pb.InferParameter{"triton_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}}}}}
	half := &pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{ModelName: "m", Outputs: []*pb.ModelInferResponse_InferOutputTensor{{Name: "O", Datatype: "FP16", Shape: []int64{1}}}, RawOutputContents: [][]byte{{1, 2}}}}
	event := func(body string) string { return "data: " + body + "\n\n" }
	one := func(text string) string { return `{"model_name":"m","model_version":"1","text_output":"` + text + `"}` }
	fail := func(text string) string { return `{"error":"` + text + `"}` }
	const json, events = "application/json ", "text/event-stream; charset=utf-8 "
	const notOne = `200 application/json {"error":"generate expects model to produce exactly 1 response, use generate stream for model that generates various number of responses"}`
	fp16 := fail("sending FP16 data via JSON is not supported. Please use the binary data format for output")
	r := newRig(t)
	for _, c := range []struct {
		name             string
		answers          []proto.Message
		err              error
		generate, stream string
	}{
		{"one", []proto.Message{token("a")}, nil, "200 " + json + one("a"), "200 " + events + event(one("a"))},
		{"one and the end", []proto.Message{token("a"), final}, nil, "200 " + json + one("a"), "200 " + events + event(one("a"))},
		{"two", []proto.Message{token("a"), token("b")}, nil, notOne, "200 " + events + event(one("a")) + event(one("b"))},
		{"none", nil, nil, notOne, "200 " + events},
		{"the end alone", []proto.Message{final}, nil, notOne, "200 " + events},
		{"an error of the model", []proto.Message{failed("broke", "m", "")}, nil, "500 " + json + fail("broke"), "500 " + events + event(fail("broke"))},
		{"an error of the model, later", []proto.Message{token("a"), failed("broke", "m", "")}, nil, notOne, "200 " + events + event(one("a")) + event(fail("broke"))},
		{"an error of the model, first", []proto.Message{failed("broke", "m", ""), token("a")}, nil, "500 " + notOne[4:], "500 " + events + event(fail("broke")) + event(one("a"))},
		{"an error before the model", []proto.Message{failed("expected 1 inputs", "", "")}, nil, "400 " + json + fail("expected 1 inputs"), "400 " + json + fail("expected 1 inputs")},
		{"an unknown model", []proto.Message{failed("Request for unknown model: 'm' is not found", "", "")}, nil, "404 " + json + fail("Request for unknown model: 'm' is not found"), "404 " + json + fail("Request for unknown model: 'm' is not found")},
		{"a server that ends", []proto.Message{failed("GRPC server is shutting down and has stopped accepting new requests.", "", "")}, nil, "503 " + json + fail("GRPC server is shutting down and has stopped accepting new requests."), "503 " + json + fail("GRPC server is shutting down and has stopped accepting new requests.")},
		{"a refusal", []proto.Message{failed("no", "", access.ReasonNoRole)}, nil, "403 " + json + fail("no"), "403 " + json + fail("no")},
		{"a refusal, later", []proto.Message{token("a"), failed("no", "", access.ReasonNoRole)}, nil, notOne, "200 " + events + event(one("a")) + event(fail("no"))},
		{"an answer that is none", []proto.Message{half}, nil, "400 " + json + fp16, "400 " + events + event(fp16)},
		{"a status of the model", nil, status.Error(codes.InvalidArgument, "said no"), "400 " + json + fail("said no"), "400 " + events + event(fail("said no"))},
		{"a status, later", []proto.Message{token("a")}, status.Error(codes.Unavailable, "gone"), notOne, "200 " + events + event(one("a")) + event(fail("gone"))},
		{"a status of the server", nil, status.Error(codes.NotFound, "no such"), "404 " + json + fail("no such"), "404 " + json + fail("no such")},
		{"a status of Sluice", nil, toStatus(&access.Error{Kind: access.Exhausted, Reason: access.ReasonInFlight, Message: "no"}), "429 " + json + fail("no"), "429 " + json + fail("no")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.answer = func(seen) ([]proto.Message, error) { return c.answers, c.err }
			for path, want := range map[string]string{"generate": c.generate, "generate_stream": c.stream} {
				if got := said(r.ask("POST", "/v2/models/m/"+path, `{"text":"x"}`)); got != want {
					t.Errorf("%s: got  %q\nwant %q", path, got, want)
				}
			}
		})
	}
}

func TestTheStatusOfARefusalInAStream(t *testing.T) {
	r := newRig(t)
	for reason, want := range map[string]int{
		access.ReasonTokenExpired: 401, access.ReasonTokenMissing: 401, access.ReasonInFlight: 429, access.ReasonStreams: 429, access.ReasonNoBackend: 404, access.ReasonBackendAway: 503,
		access.ReasonModelName: 400, access.ReasonUnsafeForBackend: 400, access.ReasonUnsupported: 501, access.ReasonInternal: 500, access.ReasonDeniedByRole: 403, "OF_TOMORROW": 403,
	} {
		r.answer = func(seen) ([]proto.Message, error) { return []proto.Message{failed("no", "", reason)}, nil }
		w := r.ask("POST", "/v2/models/m/generate", "{}")
		if w.Code != want || w.Header().Get("Sluice-Reason") != reason || (want == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %s with %v", reason, said(w), w.Header())
		}
	}
}

func TestWhatAGenerationNeedsToKnowOfTheModel(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
		sent bool // the model's name alone, for policy to refuse
	}{
		"it may not be asked about": {rest.ErrNotAllowed, "200", true},
		"there is none":             {status.Error(codes.NotFound, "no such model"), `404 application/json {"error":"no such model"}`, false},
		"no backend has it":         {&access.Error{Kind: access.NotFound, Reason: access.ReasonNoBackend, Message: "no backend"}, `404 application/json {"error":"no backend"}`, false},
		"the server is gone":        {status.Error(codes.Unavailable, "gone"), `503 application/json {"error":"gone"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.options.ModelConfig = func(context.Context, *access.Call, string, string) (*pb.ModelConfig, error) { return nil, c.err }
			r.open()
			w := r.ask("POST", "/v2/models/m/generate", `{"text":"secret"}`)
			if got := said(w); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if s := r.last(); (s.request != nil) != c.sent || c.sent && !proto.Equal(s.request, &pb.ModelInferRequest{ModelName: "m"}) {
				t.Errorf("policy sees %v", s.request)
			}
		})
	}
}

func TestACompressedGenerationIsRefused(t *testing.T) {
	r := newRig(t)
	if got, want := said(r.ask("POST", "/v2/models/m/generate", "{}", "Content-Encoding", "gzip")), `400 application/json {"error":"Unsupported content-encoding, only 'identity' is supported."}`; got != want {
		t.Errorf("got %s", got)
	}
}

// TestATokenIsSentWhenItComes, not when the next one does.
func TestATokenIsSentWhenItComes(t *testing.T) {
	r := newRig(t)
	next := make(chan proto.Message)
	r.answers(next)
	server := httptest.NewServer(r)
	defer server.Close()
	client := server.Client()
	resp, err := client.Post(server.URL+"/v2/models/m/generate_stream", "application/json", strings.NewReader(`{}`))
	if resp != nil {
		defer func() { _ = resp.Body.Close() }()
	}
	if err != nil {
		t.Fatal(err)
	}
	events := bufio.NewReader(resp.Body)
	for _, text := range []string{"a", "b", "c"} {
		if text != "a" {
			next <- token(text)
		}
		line, err := events.ReadString('\n')
		if err != nil || !strings.Contains(line, `"text_output":"`+text+`"`) {
			t.Fatalf("got %q, %v", line, err)
		}
		_, _ = events.ReadString('\n')
	}
	close(next)
	if rest, err := io.ReadAll(events); err != nil || len(rest) > 0 {
		t.Errorf("then %q, %v", rest, err)
	}
}

// TestACallerWhoLeavesEndsTheCall.
func TestACallerWhoLeavesEndsTheCall(t *testing.T) {
	r := newRig(t)
	r.answers(make(chan proto.Message)) // never says more
	server := httptest.NewServer(r)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v2/models/m/generate_stream", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = bufio.NewReader(resp.Body).ReadString('\n')
	cancel()
	_ = resp.Body.Close()
	r.Wait()
	if s := r.last(); !errors.Is(s.err, context.Canceled) {
		t.Errorf("the call ended with %v", s.err)
	}
}
