package vllm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

const model = "tiny/llama"

func TestAStream(t *testing.T) {
	b := startDouble(t).backend(t)
	answers, err := generatetest.Stream(t.Context(), t, b, generatetest.Ask(model, "7", map[string]any{
		"text_input": "Say it", "stream": true, "sampling_parameters": `{"max_tokens":"8"}`,
		"return_finish_reason": true, "return_num_input_tokens": true, "return_num_output_tokens": true,
	}))
	if err != nil || len(answers) != len(words) {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for i, a := range answers {
		last := i == len(words)-1
		reason := map[bool]string{false: "None", true: "stop"}[last]
		if a.Error != "" || a.ID != "7" || a.Model != model || a.Version != "1" || a.Text() != words[i] || !a.HasFinal || a.Final != last ||
			a.Texts["finish_reason"][0] != reason || a.Counts["num_input_tokens"][0] != 7 || a.Counts["num_output_tokens"][0] != 1 {
			t.Errorf("answer %d is %+v", i, a)
		}
	}
}

// TestWhatIsSent: the body of a request, to the byte where its order is fixed.
func TestWhatIsSent(t *testing.T) {
	for name, c := range map[string]struct {
		in   map[string]any
		want string
	}{
		"a stream":          {map[string]any{"text_input": "Hi", "stream": true}, `{"max_tokens":16,"model":"tiny/llama","prompt":"Hi","stream":true,"stream_options":{"include_usage":true},"temperature":1}`},
		"the whole":         {map[string]any{"text_input": "Hi"}, `{"max_tokens":16,"model":"tiny/llama","prompt":"Hi","stream":false,"temperature":1}`},
		"parameters":        {map[string]any{"text_input": "Hi", "sampling_parameters": `{"temperature":"0","max_tokens":3,"stop":"x","bad_words":["y"],"structured_outputs":"{\"regex\":\"a\"}","ignore_eos":"False"}`}, `{"bad_words":["y"],"ignore_eos":false,"max_tokens":3,"model":"tiny/llama","prompt":"Hi","stop":["x"],"stream":false,"structured_outputs":{"regex":"a"},"temperature":0}`},
		"tokens":            {map[string]any{"text_input": "Hi", "stream": true, "return_num_input_tokens": true}, `{"max_tokens":16,"model":"tiny/llama","prompt":"Hi","stream":true,"stream_options":{"continuous_usage_stats":true,"include_usage":true},"temperature":1}`},
		"two, counted each": {map[string]any{"text_input": "Hi", "return_num_output_tokens": true, "sampling_parameters": `{"n":2}`}, `{"max_tokens":16,"model":"tiny/llama","n":2,"prompt":"Hi","stream":true,"stream_options":{"continuous_usage_stats":true,"include_usage":true},"temperature":1}`},
		"logprobs":          {map[string]any{"text_input": "Hi", "return_logprobs": true, "sampling_parameters": `{"logprobs":2}`}, `{"logprobs":2,"max_tokens":16,"model":"tiny/llama","prompt":"Hi","return_token_ids":true,"stream":false,"temperature":1}`},
		"their sum":         {map[string]any{"text_input": "Hi", "return_cumulative_logprob": true}, `{"logprobs":0,"max_tokens":16,"model":"tiny/llama","prompt":"Hi","return_token_ids":true,"stream":false,"temperature":1}`},
		"an adapter":        {map[string]any{"text_input": "Hi", "sampling_parameters": `{"lora_name":"sql"}`}, `{"max_tokens":16,"model":"sql","prompt":"Hi","stream":false,"temperature":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			d := startDouble(t)
			b := d.backend(t, func(o *generate.Options) { o.Authorize = func(context.Context, string) error { return nil } })
			answers, err := generatetest.Stream(t.Context(), t, b, generatetest.Ask(model, "", c.in))
			sent := d.To("/v1/completions")
			if err != nil || len(sent) != 1 || sent[0].Body != c.want || sent[0].Method != http.MethodPost {
				t.Errorf("got %+v, %v; want %s", sent, err, c.want)
			}
			if a := answers[len(answers)-1]; a.Error != "" || !a.Final {
				t.Errorf("the last answer is %+v", a)
			}
		})
	}
}

func TestTwoSequencesAtOnce(t *testing.T) {
	a, err := generatetest.Infer(t.Context(), t, startDouble(t).backend(t), generatetest.Ask(model, "", map[string]any{
		"text_input": "Hi", "exclude_input_in_output": true, "sampling_parameters": `{"n":2,"max_tokens":3}`, "return_finish_reason": true, "return_num_input_tokens": true, "return_num_output_tokens": true,
	}))
	if err != nil || !reflect.DeepEqual(a.Texts, map[string][]string{"text_output": {"Hello, world", "Hello, world"}, "finish_reason": {"length", "length"}}) ||
		!reflect.DeepEqual(a.Counts, map[string][]uint32{"num_input_tokens": {7}, "num_output_tokens": {3, 3}}) {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestLogprobs(t *testing.T) {
	for _, stream := range []bool{true, false} {
		t.Run(fmt.Sprint("stream ", stream), func(t *testing.T) {
			answers, err := generatetest.Stream(t.Context(), t, startDouble(t).backend(t), generatetest.Ask(model, "", map[string]any{
				"text_input": "Hi", "stream": stream, "sampling_parameters": `{"logprobs":2,"max_tokens":2}`, "return_logprobs": true, "return_cumulative_logprob": true,
			}))
			if err != nil {
				t.Fatal(err)
			}
			var all []map[string]struct {
				Logprob float64 `json:"logprob"`
				Rank    int     `json:"rank"`
				Token   string  `json:"decoded_token"`
			}
			for _, a := range answers {
				some := all[:0:0]
				if err := json.Unmarshal([]byte(a.Texts["logprobs"][0]), &some); err != nil {
					t.Fatal(err)
				}
				all = append(all, some...)
			}
			if len(all) != 2 || len(all[0]) != 2 || all[0]["Hello"].Logprob != -0.5 || all[0]["Hello"].Rank != 1 || all[0]["x"].Rank != 2 || all[1][","].Token != "," {
				t.Errorf("got %+v", all)
			}
			if sum := answers[len(answers)-1].Floats["cumulative_logprob"][0]; sum != -1 {
				t.Errorf("the sum is %v", sum)
			}
		})
	}
}

func TestLogprobsThatNobodyAskedTheServerForAreNull(t *testing.T) {
	a, err := generatetest.Infer(t.Context(), t, startDouble(t).backend(t), generatetest.Ask(model, "", map[string]any{
		"text_input": "Hi", "return_logprobs": true, "return_cumulative_logprob": true, "sampling_parameters": `{"max_tokens":2}`,
	}))
	if err != nil || a.Texts["logprobs"][0] != "null" || a.Floats["cumulative_logprob"][0] != -1 {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestServerAndModels(t *testing.T) {
	c := pb.NewGRPCInferenceServiceClient(startDouble(t).backend(t))
	if m, err := c.ServerMetadata(t.Context(), &pb.ServerMetadataRequest{}); err != nil || m.GetVersion() != "0.32.0" || m.GetName() != "vllm" {
		t.Errorf("metadata: %v, %v", m, err)
	}
	if r, err := c.ServerReady(t.Context(), &pb.ServerReadyRequest{}); err != nil || !r.GetReady() {
		t.Errorf("ready: %v, %v", r, err)
	}
	if r, err := c.ModelReady(t.Context(), &pb.ModelReadyRequest{Name: "sql"}); err != nil || !r.GetReady() {
		t.Errorf("an adapter: %v, %v", r, err)
	}
	if i, err := c.RepositoryIndex(t.Context(), &pb.RepositoryIndexRequest{}); err != nil || len(i.GetModels()) != 2 || i.GetModels()[0].GetName() != model {
		t.Errorf("index: %v, %v", i, err)
	}
}

// TestAnAdapterIsAModel: it can be asked for by its name alone.
func TestAnAdapterIsAModel(t *testing.T) {
	d := startDouble(t)
	a, err := generatetest.Infer(t.Context(), t, d.backend(t), generatetest.Ask("sql", "", map[string]any{"text_input": "Hi"}))
	if err != nil || a.Model != "sql" || !strings.Contains(d.To("/v1/completions")[0].Body, `"model":"sql"`) {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestAdaptersComeAndGo(t *testing.T) {
	d := startDouble(t)
	c := pb.NewGRPCInferenceServiceClient(d.backend(t, func(o *generate.Options) {
		o.AdapterPaths = map[string]string{"new": "/adapters/new", "gone": "/missing/gone"}
	}))
	if _, err := c.RepositoryModelLoad(t.Context(), &pb.RepositoryModelLoadRequest{ModelName: "new"}); err != nil {
		t.Error(err)
	}
	if _, err := c.RepositoryModelLoad(t.Context(), &pb.RepositoryModelLoadRequest{ModelName: "gone"}); err == nil || !strings.Contains(err.Error(), "No adapter found") {
		t.Errorf("an adapter that is not on the disk: %v", err)
	}
	if _, err := c.RepositoryModelUnload(t.Context(), &pb.RepositoryModelUnloadRequest{ModelName: "sql"}); err != nil {
		t.Error(err)
	}
	loads, unloads := d.To("/v1/load_lora_adapter"), d.To("/v1/unload_lora_adapter")
	if len(loads) != 2 || loads[0].Body != `{"lora_name":"new","lora_path":"/adapters/new"}` || len(unloads) != 1 || unloads[0].Body != `{"lora_name":"sql"}` {
		t.Errorf("the server got %+v, %+v", loads, unloads)
	}
}
