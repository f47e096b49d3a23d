package vllm_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	"github.com/sluice-gateway/sluice/backends/openai"
	"github.com/sluice-gateway/sluice/backends/vllm"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// TestSuite holds the backend to what every backend promises.
func TestSuite(t *testing.T) {
	whole := map[string]any{"text_input": "Hi", "exclude_input_in_output": true}
	typed := &inference.ModelInferRequest{ModelName: model, Inputs: []*inference.ModelInferRequest_InferInputTensor{
		{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte("Hi")}}},
		{Name: "exclude_input_in_output", Datatype: "BOOL", Shape: []int64{1}, Contents: &inference.InferTensorContents{BoolContents: []bool{true}}},
	}}
	backendstest.Run(t, backendstest.Harness{
		Open:       open,
		Infer:      backendstest.Exchange{Request: generatetest.Ask(model, "", whole), Answers: answers("Hello, world!")},
		TypedInfer: backendstest.Exchange{Request: typed, Answers: answers("Hello, world!")},
		Stream:     backendstest.Exchange{Request: generatetest.Ask(model, "", map[string]any{"text_input": "Hi", "stream": true}), Answers: answers(words...)},
		LoadName:   "sql",
		Decoupled:  true,
	})
}

// answers are answers of one text each.
func answers(texts ...string) (all []*inference.ModelInferResponse) {
	for _, text := range texts {
		all = append(all, &inference.ModelInferResponse{
			Outputs:           []*inference.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
			RawOutputContents: [][]byte{append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...)},
		})
	}
	return all
}

// open makes a backend before a double that behaves as the setup says.
func open(t *testing.T, s backendstest.Setup) backends.Backend {
	t.Helper()
	listener := httptest.NewServer(behave(s))
	t.Cleanup(listener.Close)
	if s.Mode == backendstest.ModeAway {
		listener.Close()
	}
	client, err := generate.NewClient(generate.ClientOptions{Address: listener.URL, Credential: s.Forwarder.Credential})
	if err != nil {
		t.Fatal(err)
	}
	b := generate.New(generate.Options{
		Name: "chat", Kind: "vllm", Server: vllm.New(client), Schema: openai.VLLM.Schema, Defaults: openai.Defaults(),
		Forwarder: s.Forwarder, AdapterPaths: map[string]string{"sql": "/adapters/sql"},
	})
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// observed are the routes of calls that the suite wants to hear of.
var observed = map[string]backendstest.Ability{
	"/v1/load_lora_adapter": backendstest.Load, "/v1/unload_lora_adapter": backendstest.Unload,
}

// behave does with the routes that generate as the mode says.
func behave(s backendstest.Setup) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // net/http watches the connection when all is read
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var a struct {
			Stream bool   `json:"stream"`
			Name   string `json:"lora_name"`
		}
		_ = json.Unmarshal(body, &a)
		what, generates := backendstest.Infer, r.URL.Path == "/v1/completions"
		if a.Stream {
			what = backendstest.Stream
		}
		if control, ok := observed[r.URL.Path]; ok {
			s.Observer.Begin(r.Context(), control, a.Name, r.Header)
		} else if generates {
			s.Observer.Begin(r.Context(), what, "", r.Header)
		}
		switch {
		case s.Mode == backendstest.ModeGarbage:
			_, _ = io.WriteString(w, "<html>welcome</html>")
		case generates && s.Mode == backendstest.ModeHangs:
			<-r.Context().Done()
		case generates && (s.Mode == backendstest.ModeHangsLater || s.Mode == backendstest.ModeBreaks):
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			_, _ = fmt.Fprintf(w, "data: %s\"choices\":[{\"index\":0,\"text\":%q,\"finish_reason\":null}]}\n\n", head, words[0])
			w.(http.Flusher).Flush()
			if s.Mode == backendstest.ModeBreaks {
				panic(http.ErrAbortHandler)
			}
			<-r.Context().Done()
		default:
			serve(w, r)
		}
	}
}
