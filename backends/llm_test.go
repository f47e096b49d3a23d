package backends_test

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/backends"
)

func TestOptionsOfServersOfGeneratedText(t *testing.T) {
	entry := func(kind string, change func(*backends.Config)) *backends.Config {
		c := right()
		c.Type, c.Addresses = kind, []string{"http://127.0.0.1:8000"}
		change(&c)
		return &c
	}
	vllm := func(v backends.VLLMConfig) *backends.Config {
		return entry("vllm", func(c *backends.Config) { c.VLLM = &v })
	}
	openai := func(v backends.OpenAIConfig) *backends.Config {
		return entry("openai", func(c *backends.Config) { c.OpenAI = &v })
	}
	for name, c := range map[string]struct {
		config *backends.Config
		want   string // "path: message"; "" is right
	}{
		"none":                {entry("vllm", func(*backends.Config) {}), ""},
		"adapters":            {vllm(backends.VLLMConfig{Adapters: map[string]string{"org/sql": "/a/sql"}, CallerPaths: true}), ""},
		"no path":             {vllm(backends.VLLMConfig{Adapters: map[string]string{"sql": ""}}), "vllm.adapters.sql: is missing"},
		"a name with a path":  {vllm(backends.VLLMConfig{Adapters: map[string]string{"../sql": "/a"}}), "vllm.adapters: model name \"../sql\" walks a path"},
		"negative":            {vllm(backends.VLLMConfig{LLMConfig: backends.LLMConfig{MaxTokens: -1}}), "vllm.max_tokens: must be at least 1"},
		"a dialect":           {openai(backends.OpenAIConfig{Dialect: "llama.cpp"}), ""},
		"no such dialect":     {openai(backends.OpenAIConfig{Dialect: "llama.cp"}), `openai.dialect: must be one of llama.cpp, openai, sglang (did you mean "llama.cpp"?)`},
		"another one's":       {entry("openai", func(c *backends.Config) { c.VLLM = &backends.VLLMConfig{} }), "vllm: is for backends of type vllm"},
		"a gRPC server's":     {entry("vllm", func(c *backends.Config) { c.OpenAI = &backends.OpenAIConfig{} }), "openai: is for backends of type openai"},
		"an address for gRPC": {entry("vllm", func(c *backends.Config) { c.Addresses = []string{"127.0.0.1:8000"} }), "addresses[0]: "},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range c.config.Validate() {
				got = append(got, p.Path+": "+p.Message)
			}
			if all := strings.Join(got, "\n"); c.want == "" && all != "" || !strings.HasPrefix(all, c.want) || len(got) > 1 {
				t.Errorf("got %q, want %q", all, c.want)
			}
		})
	}
}
