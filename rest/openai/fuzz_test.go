package openai_test

import (
	"encoding/json"
	"testing"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/openai"
)

// FuzzRequest reads any body on each route. What is taken is JSON without a name
// twice, names the model that the message is for, and says nothing but JSON.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","prompt":"p","max_tokens":1,"stop":["a"],"logprobs":2,"echo":true}`,
		`{"model":"a/b","messages":[{"role":"user","content":[{"type":"text","text":"x"}]}],"stream":true,"stream_options":{"include_usage":true}}`,
		`{"model":"m","input":["a","b"],"dimensions":3,"encoding_format":"base64"}`,
		`{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"schema":{}}}}`,
		`{"model":null}`, `[]`, `{"model":"m","model":"n"}`, "{\"\xff\":1}", `{"model":"m","input":[[1,2]]}`, `{"model":"m","logit_bias":{"1":-100}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		model, fields, wrong := openai.Model(body)
		if wrong != nil {
			checkError(t, wrong)
			return
		}
		if !json.Valid(body) {
			t.Fatalf("taken, and no JSON: %q", body)
		}
		for _, route := range []openai.Route{openai.Completions, openai.Chat, openai.Embeddings} {
			r, wrong := openai.Read(route, model, fields)
			if wrong != nil {
				checkError(t, wrong)
				continue
			}
			for _, config := range []*pb.ModelConfig{full(), plain(), batched()} {
				m, wrong := r.Message(config, "1")
				if wrong != nil {
					checkError(t, wrong)
					continue
				}
				if m.GetModelName() != model {
					t.Errorf("for model %q, and it is sent to %q", model, m.GetModelName())
				}
				if len(m.GetInputs()) != len(m.GetRawInputContents()) {
					t.Error("inputs and their data are not as many")
				}
			}
		}
	})
}

func checkError(t *testing.T, e *openai.Error) {
	t.Helper()
	if e.Status != 400 || e.Message == "" || !json.Valid(e.JSON()) {
		t.Errorf("status %d, %s", e.Status, e.JSON())
	}
}
