package backends

import (
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// LLMConfig is what backends of generated text have in common.
type LLMConfig struct {
	// StrictDecoupled refuses ModelInfer for models that generate, as Triton does.
	// Without it, a request that is not streamed is answered there too.
	StrictDecoupled bool `yaml:"strict_decoupled"`
	// Embeds says that the server's models embed text: text_input is answered with
	// the FP32 tensor "embedding".
	Embeds bool `yaml:"embeds"`
	// Images lets conversations hold images, inside the request as data: URLs.
	Images bool `yaml:"images"`
	// MaxTokens is how many tokens a prompt is answered with that sets no
	// max_tokens. Default: 16, as in vLLM and so in Triton.
	MaxTokens int64 `yaml:"max_tokens"`
}

// OpenAIConfig is the options of type openai.
type OpenAIConfig struct {
	LLMConfig `yaml:",inline"`
	// Dialect is which sampling parameters the server takes and how it counts:
	// openai (OpenAI's own words), llama.cpp or sglang. Default: openai.
	Dialect string `yaml:"dialect"`
}

// VLLMConfig is the options of type vllm.
type VLLMConfig struct {
	LLMConfig `yaml:",inline"`
	// Adapters are LoRA adapters that may be loaded and unloaded as models: where
	// each lies on the server's own disk, by name. The server has to run with
	// VLLM_ALLOW_RUNTIME_LORA_UPDATING=1.
	Adapters map[string]string `yaml:"adapters"`
	// CallerPaths lets who may load_override name an adapter's path itself, with
	// the load parameter lora_path.
	CallerPaths bool `yaml:"caller_paths"`
}

// dialects are what an OpenAI-style server can speak.
var dialects = []string{"llama.cpp", "openai", "sglang"}

func (c *LLMConfig) validate() (ps problems) {
	if c.MaxTokens < 0 {
		ps.add("max_tokens", "must be at least 1")
	}
	return ps
}

// Validate checks the section by itself.
func (c *OpenAIConfig) Validate() []access.Problem {
	ps := c.validate()
	if c.Dialect != "" && !slices.Contains(dialects, c.Dialect) {
		ps.add("dialect", "must be one of %s%s", strings.Join(dialects, ", "), access.DidYouMean(c.Dialect, dialects))
	}
	return ps
}

// Validate checks the section by itself.
func (c *VLLMConfig) Validate() []access.Problem {
	ps := c.validate()
	for _, name := range slices.Sorted(maps.Keys(c.Adapters)) {
		if err := access.CheckModelName(name); err != nil {
			ps.add("adapters", "%s", err.Message)
		}
		if c.Adapters[name] == "" {
			ps.add("adapters."+name, "is missing; write the adapter's path on the server's disk")
		}
	}
	return ps
}
