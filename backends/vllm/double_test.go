package vllm_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/backends/backendstest"

	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	"github.com/sluice-gateway/sluice/backends/openai"
	"github.com/sluice-gateway/sluice/backends/vllm"
)

func TestMain(m *testing.M) { backendstest.Main(m) }

// The bytes of vLLM 0.32 (protocol/vllm-openai.md).
const (
	modelsJSON = `{"object":"list","data":[{"id":"tiny/llama","object":"model","created":1,"owned_by":"vllm","root":"/models/tiny","parent":null,"max_model_len":2048,"permission":[]},` +
		`{"id":"sql","object":"model","created":1,"owned_by":"vllm","root":"/adapters/sql","parent":"tiny/llama","max_model_len":null,"permission":[]}]}`
	head = `{"id":"cmpl-1","object":"text_completion","created":1,"model":"tiny/llama",`
)

// words are what the double says, one token each.
var words = []string{"Hello", ",", " world", "!"}

// double is a vLLM: it says words, up to max_tokens of them, n times.
type double struct {
	*generatetest.Double
}

type asked struct {
	Model     string          `json:"model"`
	Prompt    string          `json:"prompt"`
	Messages  json.RawMessage `json:"messages"`
	MaxTokens int             `json:"max_tokens"`
	N         int             `json:"n"`
	Stream    bool            `json:"stream"`
	Options   struct {
		Usage  bool `json:"include_usage"`
		Always bool `json:"continuous_usage_stats"`
	} `json:"stream_options"`
	Logprobs *int `json:"logprobs"`
}

func (a *asked) words() ([]string, string) {
	if a.MaxTokens > 0 && a.MaxTokens < len(words) {
		return words[:a.MaxTokens], "length"
	}
	return words, "stop"
}

func startDouble(t testing.TB) *double {
	t.Helper()
	return &double{generatetest.Start(t, serve)}
}

func serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/health":
	case "/version":
		_, _ = io.WriteString(w, `{"version":"0.32.0"}`)
	case "/v1/models":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, modelsJSON)
	case "/v1/completions":
		var a asked
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		complete(w, &a)
	case "/v1/load_lora_adapter", "/v1/unload_lora_adapter":
		adapter(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"detail":"Not Found"}`)
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error":{"message":%q,"type":"BadRequestError","param":null,"code":%d}}`, message, status)
}

func adapter(w http.ResponseWriter, r *http.Request) {
	var a struct {
		Name string `json:"lora_name"`
		Path string `json:"lora_path"`
	}
	_ = json.NewDecoder(r.Body).Decode(&a)
	switch {
	case strings.HasPrefix(a.Path, "/missing"):
		refuse(w, http.StatusNotFound, "Loading lora "+a.Name+" failed: No adapter found for "+a.Path)
	case strings.Contains(r.URL.Path, "unload"):
		_, _ = fmt.Fprintf(w, "Success: LoRA adapter '%s' removed successfully.", a.Name)
	default:
		_, _ = fmt.Fprintf(w, "Success: LoRA adapter '%s' added successfully.", a.Name)
	}
}

func complete(w http.ResponseWriter, a *asked) {
	n := max(1, a.N)
	text, reason := a.words()
	usage := func(tokens int) string {
		return fmt.Sprintf(`"usage":{"prompt_tokens":7,"total_tokens":%d,"completion_tokens":%d}`, 7+tokens, tokens)
	}
	if !a.Stream {
		w.Header().Set("Content-Type", "application/json")
		var choices []string
		for i := range n {
			choices = append(choices, fmt.Sprintf(`{"index":%d,"text":%q,"logprobs":%s,"finish_reason":%q,"stop_reason":null,"prompt_logprobs":null}`, i, strings.Join(text, ""), a.logprobs(text...), reason))
		}
		_, _ = fmt.Fprintf(w, `%s"choices":[%s],%s}`, head, strings.Join(choices, ","), usage(n*len(text)))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	said := 0
	for k, word := range text {
		for i := range n {
			said++
			finish := "null"
			if k == len(text)-1 {
				finish = `"` + reason + `"`
			}
			counts := ""
			if a.Options.Always {
				counts = "," + usage(said)
			}
			_, _ = fmt.Fprintf(w, "data: %s\"choices\":[{\"index\":%d,\"text\":%q,\"logprobs\":%s,\"finish_reason\":%s,\"stop_reason\":null}]%s}\n\n", head, i, word, a.logprobs(word), finish, counts)
			w.(http.Flusher).Flush()
		}
	}
	if a.Options.Usage {
		_, _ = fmt.Fprintf(w, "data: %s\"choices\":[],%s}\n\n", head, usage(said))
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// logprobs are those of words: -0.5 each, and "x" at -1.5 where one more is asked
// for.
func (a *asked) logprobs(text ...string) string {
	if a.Logprobs == nil {
		return "null"
	}
	var tokens, values, top []string
	for _, word := range text {
		tokens, values = append(tokens, fmt.Sprintf("%q", word)), append(values, "-0.5")
		others := fmt.Sprintf(`{%q:-0.5}`, word)
		if *a.Logprobs > 1 {
			others = fmt.Sprintf(`{%q:-0.5,"x":-1.5}`, word)
		}
		top = append(top, others)
	}
	return fmt.Sprintf(`{"text_offset":[0],"token_logprobs":[%s],"tokens":[%s],"top_logprobs":[%s]}`, strings.Join(values, ","), strings.Join(tokens, ","), strings.Join(top, ","))
}

// backend is a backend over the double.
func (d *double) backend(t testing.TB, change ...func(*generate.Options)) *generate.Backend {
	t.Helper()
	client, err := generate.NewClient(generate.ClientOptions{Address: "http://vllm:8000", Dial: d.Dial})
	if err != nil {
		t.Fatal(err)
	}
	o := generate.Options{Name: "chat", Kind: "vllm", Server: vllm.New(client), Schema: openai.VLLM.Schema, Defaults: openai.Defaults()}
	for _, c := range change {
		c(&o)
	}
	b := generate.New(o)
	t.Cleanup(func() { _ = b.Close() })
	return b
}
