package openai_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	"github.com/sluice-gateway/sluice/backends/openai"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

func TestMain(m *testing.M) { backendstest.Main(m) }

// routes is a double that answers each path with the same bytes; those that begin
// with "data:" are a stream.
type routes map[string]string

func (r routes) start(t testing.TB) *generatetest.Double {
	t.Helper()
	return generatetest.Start(t, func(w http.ResponseWriter, req *http.Request) {
		body, ok := r[req.URL.Path]
		switch {
		case !ok && req.URL.Path == "/v1/models":
			body = `{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"x"}]}`
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			body = `{"detail":"Not Found"}`
		case strings.HasPrefix(body, "data:"):
			w.Header().Set("Content-Type", "text/event-stream")
		}
		_, _ = io.WriteString(w, body)
	})
}

func open(t testing.TB, d *generatetest.Double, dialect openai.Dialect, change ...func(*generate.Options)) *generate.Backend {
	t.Helper()
	client, err := generate.NewClient(generate.ClientOptions{Address: "http://server", Dial: d.Dial})
	if err != nil {
		t.Fatal(err)
	}
	o := generate.Options{Name: "b", Kind: "openai", Server: openai.New(client, dialect), Schema: dialect.Schema}
	for _, c := range change {
		c(&o)
	}
	b := generate.New(o)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// llamaStream is what llama.cpp's server says (protocol/vllm-openai.md): the reason
// of the end in a chunk of its own, together with the usage, and its timings.
const llamaStream = `data: {"choices":[{"text":" Once","index":0,"logprobs":null,"finish_reason":null}],"created":1,"model":"m","system_fingerprint":"b6000","object":"text_completion","id":"chatcmpl-1","timings":{"cache_n":3,"prompt_n":2,"predicted_n":1}}

data: {"choices":[{"text":" upon","index":0,"logprobs":null,"finish_reason":null}],"created":1,"model":"m","system_fingerprint":"b6000","object":"text_completion","id":"chatcmpl-1","timings":{"cache_n":3,"prompt_n":2,"predicted_n":3}}

data: {"choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"length"}],"created":1,"model":"m","system_fingerprint":"b6000","object":"text_completion","usage":{"completion_tokens":4,"prompt_tokens":5,"total_tokens":9},"id":"chatcmpl-1","timings":{"cache_n":3,"prompt_n":2,"predicted_n":4}}

data: [DONE]

`

var counted = map[string]any{
	"text_input": "Hi", "stream": true, "return_finish_reason": true, "return_num_input_tokens": true, "return_num_output_tokens": true,
}

func TestAStreamOfLlamaCPP(t *testing.T) {
	d := routes{"/v1/completions": llamaStream}.start(t)
	answers, err := generatetest.Stream(t.Context(), t, open(t, d, openai.LlamaCPP), generatetest.Ask("m", "1", counted))
	if err != nil || len(answers) != 3 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for i, want := range []struct {
		text, finish string
		tokens       uint32
	}{{" Once", "None", 1}, {" upon", "None", 2}, {"", "length", 1}} {
		a := answers[i]
		if a.Text() != want.text || a.Texts["finish_reason"][0] != want.finish || a.Counts["num_output_tokens"][0] != want.tokens || a.Counts["num_input_tokens"][0] != 5 || a.Final != (i == 2) {
			t.Errorf("answer %d is %+v, want %+v", i, a, want)
		}
	}
	if body := d.To("/v1/completions")[0].Body; body != `{"model":"m","prompt":"Hi","stream":true,"stream_options":{"include_usage":true},"timings_per_token":true}` {
		t.Errorf("sent %s", body)
	}
}

// TestAnOlderLlamaCPP tells no number of tokens in its cache, so that its timings
// are not the prompt's: the last chunk has the numbers.
func TestAnOlderLlamaCPP(t *testing.T) {
	d := routes{"/v1/completions": strings.ReplaceAll(llamaStream, `"cache_n":3,`, "")}.start(t)
	answers, err := generatetest.Stream(t.Context(), t, open(t, d, openai.LlamaCPP), generatetest.Ask("m", "1", counted))
	if err != nil || len(answers) != 3 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	var sum uint32
	for _, a := range answers {
		sum += a.Counts["num_output_tokens"][0]
	}
	if sum != 4 || answers[2].Counts["num_input_tokens"][0] != 5 {
		t.Errorf("%d tokens, the last answer is %+v", sum, answers[2])
	}
}

// TestANameThatTheServerDoesNotHave is refused, though the server would answer.
func TestANameThatTheServerDoesNotHave(t *testing.T) {
	d := routes{"/v1/completions": llamaStream}.start(t)
	answers, err := generatetest.Stream(t.Context(), t, open(t, d, openai.LlamaCPP), generatetest.Ask("another", "1", counted))
	if err != nil || len(answers) != 1 || answers[0].Error != "Request for unknown model: 'another' is not found" || len(d.To("/v1/completions")) != 0 {
		t.Errorf("got %+v, %v", answers, err)
	}
}

const chatStream = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":{"content":[{"token":"Hel","logprob":-0.5,"bytes":[72],"top_logprobs":[{"token":"Hel","logprob":-0.5,"bytes":[72]},{"token":"Hi","logprob":-1.5,"bytes":[72]}]}]},"finish_reason":null,"token_ids":[11]}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":null,"reasoning":"hidden"},"finish_reason":null}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"lo"},"logprobs":null,"finish_reason":"stop","stop_reason":null}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":9,"total_tokens":11,"completion_tokens":2}}

data: [DONE]

`

const turn = `[{"role":"user","content":"Hi"}]`

func TestAConversation(t *testing.T) {
	d := routes{"/v1/chat/completions": chatStream}.start(t)
	answers, err := generatetest.Stream(t.Context(), t, open(t, d, openai.VLLM), generatetest.Ask("m", "1", map[string]any{
		"messages": turn, "stream": true, "sampling_parameters": `{"max_tokens":5,"logprobs":1}`, "return_logprobs": true, "return_finish_reason": true,
	}))
	if err != nil || len(answers) != 2 || answers[0].Text() != "Hel" || answers[1].Text() != "lo" || answers[1].Texts["finish_reason"][0] != "stop" || !answers[1].Final {
		t.Fatalf("got %+v, %v", answers, err)
	}
	if got, want := answers[0].Texts["logprobs"][0], `[{"11": {"logprob": -0.5, "rank": 1, "decoded_token": "Hel"}, "Hi": {"logprob": -1.5, "rank": 2, "decoded_token": "Hi"}}]`; got != want {
		t.Errorf("logprobs are %s, want %s", got, want)
	}
	want := `{"include_reasoning":false,"logprobs":true,"max_tokens":5,"messages":[{"role":"user","content":"Hi"}],"model":"m","return_token_ids":true,"stream":true,"stream_options":{"include_usage":true},"top_logprobs":1}`
	if body := d.To("/v1/chat/completions")[0].Body; body != want {
		t.Errorf("sent %s, want %s", body, want)
	}
}

func TestAConversationAtOnce(t *testing.T) {
	d := routes{"/v1/chat/completions": `{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}`}.start(t)
	a, err := generatetest.Infer(t.Context(), t, open(t, d, openai.Plain), generatetest.Ask("m", "1", map[string]any{
		"messages": turn, "return_num_input_tokens": true, "return_num_output_tokens": true, "return_cumulative_logprob": true,
	}))
	if err != nil || a.Text() != "Hello" || a.Counts["num_input_tokens"][0] != 9 || a.Counts["num_output_tokens"][0] != 2 {
		t.Errorf("got %+v, %v", a, err)
	}
	if body := d.To("/v1/chat/completions")[0].Body; body != `{"logprobs":true,"messages":[{"role":"user","content":"Hi"}],"model":"m","stream":false}` {
		t.Errorf("sent %s", body)
	}
}

// TestLogprobsOfLlamaCPP are a chat's in completions too, with the tokens' numbers.
func TestLogprobsOfLlamaCPP(t *testing.T) {
	d := routes{"/v1/completions": `{"choices":[{"text":"a","index":0,"logprobs":{"content":[{"id":5,"token":"a","bytes":[97],"logprob":-0.5,"top_logprobs":[{"id":6,"token":"b","bytes":[98],"logprob":-0.25},{"id":5,"token":"a","bytes":[97],"logprob":-0.5}]}]},"finish_reason":"length"}],"usage":{"completion_tokens":1,"prompt_tokens":2,"total_tokens":3}}`}.start(t)
	a, err := generatetest.Infer(t.Context(), t, open(t, d, openai.LlamaCPP), generatetest.Ask("m", "", map[string]any{"text_input": "x", "return_logprobs": true, "sampling_parameters": `{"logprobs":0}`}))
	want := `[{"5": {"logprob": -0.5, "rank": 2, "decoded_token": "a"}, "6": {"logprob": -0.25, "rank": 1, "decoded_token": "b"}}]`
	if err != nil || a.Texts["logprobs"][0] != want {
		t.Errorf("got %+v, %v; want %s", a, err, want)
	}
	if body := d.To("/v1/completions")[0].Body; !strings.Contains(body, `"logprobs":1,`) {
		t.Errorf("sent %s, which brings none", body)
	}
}

func TestEmbeddings(t *testing.T) {
	d := routes{"/v1/embeddings": `{"object":"list","data":[{"object":"embedding","index":1,"embedding":[3,4]},{"object":"embedding","index":0,"embedding":[0.5,-2]}],"model":"m","usage":{"prompt_tokens":6,"total_tokens":6}}`}.start(t)
	b := open(t, d, openai.Plain, func(o *generate.Options) { o.Embeds = true })
	a, err := generatetest.Infer(t.Context(), t, b, generatetest.Ask("m", "", map[string]any{"text_input": []string{"a", "b"}, "return_num_input_tokens": true}))
	if err != nil || !reflect.DeepEqual(a.Floats["embedding"], []float32{0.5, -2, 3, 4}) || !reflect.DeepEqual(a.Shapes["embedding"], []int64{2, 2}) || a.Counts["num_input_tokens"][0] != 6 {
		t.Errorf("got %+v, %v", a, err)
	}
	if body := d.To("/v1/embeddings")[0].Body; body != `{"encoding_format":"float","input":["a","b"],"model":"m"}` {
		t.Errorf("sent %s", body)
	}
	_, err = generatetest.Infer(t.Context(), t, b, generatetest.Ask("m", "", map[string]any{"embedding_request": `{"input":[1,2],"pooling_params":{"dimensions":[2]}}`}))
	var e *access.Error
	if !errors.As(err, &e) || e.Kind != access.Unavailable {
		t.Errorf("two vectors for one: %v", err)
	}
	if body := d.To("/v1/embeddings")[1].Body; body != `{"dimensions":2,"encoding_format":"float","input":[1,2],"model":"m"}` {
		t.Errorf("sent %s", body)
	}
}

// TestAGeneratingServerEmbedsNothing: its web framework says that there is no route.
func TestAGeneratingServerEmbedsNothing(t *testing.T) {
	_, err := generatetest.Infer(t.Context(), t, open(t, routes{}.start(t), openai.VLLM), generatetest.Ask("m", "", map[string]any{"embedding_request": `{"input":"a"}`}))
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
}

// TestReadinessIsOfTheHealthRoute, or of the list of models where there is none.
func TestReadinessIsOfTheHealthRoute(t *testing.T) {
	for name, c := range map[string]struct {
		dialect openai.Dialect
		path    string
	}{"llama.cpp": {openai.LlamaCPP, "/health"}, "plain": {openai.Plain, "/v1/models"}} {
		d := routes{"/health": `{"status":"ok"}`}.start(t)
		r, err := pb.NewGRPCInferenceServiceClient(open(t, d, c.dialect)).ServerReady(t.Context(), &pb.ServerReadyRequest{})
		if err != nil || !r.GetReady() || len(d.Requests()) != 1 || d.Requests()[0].Path != c.path {
			t.Errorf("%s: %v, %v, asked %+v", name, r, err, d.Requests())
		}
	}
}

// TestADialectTakesItsOwnParametersAlone, for servers ignore what they don't know.
func TestADialectTakesItsOwnParametersAlone(t *testing.T) {
	for name, c := range map[string]struct {
		dialect openai.Dialect
		text    string
		ok      bool
	}{
		"OpenAI's own":           {openai.Plain, `{"temperature":0,"seed":1,"stop":"a"}`, true},
		"a plain server's top_k": {openai.Plain, `{"top_k":1}`, false},
		"llama.cpp's top_k":      {openai.LlamaCPP, `{"top_k":1,"repetition_penalty":1.5}`, true},
		"SGLang's min_tokens":    {openai.SGLang, `{"min_tokens":1}`, true},
		"llama.cpp's min_tokens": {openai.LlamaCPP, `{"min_tokens":1}`, false},
		"a plain server's lora":  {openai.Plain, `{"lora_name":"a"}`, false},
		"another model":          {openai.VLLM, `{"model":"a"}`, false},
		"a request id":           {openai.VLLM, `{"request_id":"a"}`, false},
		"a cache's transfer":     {openai.VLLM, `{"kv_transfer_params":{}}`, false},
		"the stream's own":       {openai.VLLM, `{"stream":true}`, false},
		"a prompt":               {openai.VLLM, `{"prompt":"a"}`, false},
	} {
		if _, err := c.dialect.Schema.Check(c.text); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := openai.Dialects(); len(got) != 3 || got["llama.cpp"].Name != "llama.cpp" {
		t.Errorf("the dialects are %v", got)
	}
}

// TestTwoSequencesOfLlamaCPP are counted each by itself, in their timings and in
// the usage.
func TestTwoSequencesOfLlamaCPP(t *testing.T) {
	chunk := func(index, tokens int, text, finish string) string {
		usage := ""
		if finish != "null" {
			usage = fmt.Sprintf(`"usage":{"completion_tokens":%d,"prompt_tokens":5,"total_tokens":9},`, tokens)
		}
		return fmt.Sprintf(`data: {"choices":[{"text":%q,"index":%d,"logprobs":null,"finish_reason":%s}],%s"timings":{"cache_n":3,"prompt_n":2,"predicted_n":%d}}`+"\n\n", text, index, finish, usage, tokens)
	}
	d := routes{"/v1/completions": chunk(0, 1, "a", "null") + chunk(1, 1, "b", "null") + chunk(1, 3, "cd", "null") + chunk(0, 2, "e", "null") +
		chunk(0, 2, "", `"length"`) + chunk(1, 3, "", `"length"`) + "data: [DONE]\n\n"}.start(t)
	a, err := generatetest.Infer(t.Context(), t, open(t, d, openai.LlamaCPP), generatetest.Ask("m", "", map[string]any{
		"text_input": "x", "exclude_input_in_output": true, "sampling_parameters": `{"n":2}`, "return_num_input_tokens": true, "return_num_output_tokens": true,
	}))
	if err != nil || !reflect.DeepEqual(a.Texts["text_output"], []string{"ae", "bcd"}) || !reflect.DeepEqual(a.Counts, map[string][]uint32{"num_input_tokens": {5}, "num_output_tokens": {2, 3}}) {
		t.Errorf("got %+v, %v", a, err)
	}
}
