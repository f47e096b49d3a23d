package tgi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	"github.com/sluice-gateway/sluice/backends/tgi"
	"github.com/sluice-gateway/sluice/backends/tgi/tgitest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

func TestMain(m *testing.M) { backendstest.Main(m) }

// TestSuite holds the backend to what every backend promises.
func TestSuite(t *testing.T) {
	const model = "tgi-double"
	whole := map[string]any{"text_input": "Hi", "exclude_input_in_output": true}
	streamed := map[string]any{"text_input": "Hi", "stream": true, "sampling_parameters": `{"max_tokens":3}`}
	typed := &inference.ModelInferRequest{ModelName: model, Inputs: []*inference.ModelInferRequest_InferInputTensor{
		{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte("Hi")}}},
		{Name: "exclude_input_in_output", Datatype: "BOOL", Shape: []int64{1}, Contents: &inference.InferTensorContents{BoolContents: []bool{true}}},
	}}
	backendstest.Run(t, backendstest.Harness{
		Open:       open,
		Infer:      backendstest.Exchange{Request: generatetest.Ask(model, "", whole), Answers: answer("Thank you for waiting.")},
		TypedInfer: backendstest.Exchange{Request: typed, Answers: answer("Thank you for waiting.")},
		Stream:     backendstest.Exchange{Request: generatetest.Ask(model, "", streamed), Answers: answer("Than", "k you", " for")},
		LoadName:   "doll",
		Decoupled:  true,
		Lacks: map[backendstest.Ability]string{
			backendstest.Load:   "TGI loads a model and its adapters when it starts, and none later",
			backendstest.Unload: "TGI unloads nothing while it runs",
		},
	})
}

// answer is answers of one text each.
func answer(texts ...string) (all []*inference.ModelInferResponse) {
	for _, text := range texts {
		all = append(all, &inference.ModelInferResponse{
			Outputs:           []*inference.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
			RawOutputContents: [][]byte{append([]byte{byte(len(text)), 0, 0, 0}, text...)},
		})
	}
	return all
}

// open makes a backend before a double that behaves as the setup says.
func open(t *testing.T, s backendstest.Setup) backends.Backend {
	t.Helper()
	listener := httptest.NewServer(behave(tgitest.New(says), s))
	t.Cleanup(listener.Close)
	if s.Mode == backendstest.ModeAway {
		listener.Close()
	}
	client, err := generate.NewClient(generate.ClientOptions{Address: listener.URL, Credential: s.Forwarder.Credential})
	if err != nil {
		t.Fatal(err)
	}
	b := generate.New(generate.Options{
		Name: "tgi", Kind: "tgi", Server: tgi.New(tgi.Options{Client: client}), Schema: tgi.Schema(), Forwarder: s.Forwarder,
		Defaults: map[string]any{"max_tokens": int64(16)},
	})
	t.Cleanup(func() { _ = b.Close() })
	return b
}

var routes = map[string]backendstest.Ability{"/generate": backendstest.Infer, "/generate_stream": backendstest.Stream}

// behave does with the routes that generate as the mode says.
func behave(double http.Handler, s backendstest.Setup) http.HandlerFunc {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	modes := map[backendstest.Mode]http.HandlerFunc{
		backendstest.ModeHangs:      then(hang),
		backendstest.ModeHangsLater: then(events(firstEvent), hang),
		backendstest.ModeBreaks:     then(events(firstEvent), reset),
	}
	return func(w http.ResponseWriter, r *http.Request) {
		what, generates := routes[r.URL.Path]
		if generates {
			s.Observer.Begin(r.Context(), what, "", r.Header)
		}
		switch mode := modes[s.Mode]; {
		case s.Mode == backendstest.ModeGarbage:
			_, _ = io.WriteString(w, "<html>welcome</html>")
		case generates && mode != nil:
			mode(w, r)
		default:
			double.ServeHTTP(w, r)
		}
	}
}
