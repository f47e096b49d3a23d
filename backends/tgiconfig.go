package backends

import (
	"fmt"
	"slices"

	"github.com/sluice-gateway/sluice/access"
)

// TGIConfig is the options of type tgi.
type TGIConfig struct {
	// Model is the name of the server's one model. Default: the model_id that
	// the server tells, which is a path where it was started with one.
	Model string `yaml:"model"`
	// Adapters are the LoRA adapters that the server was started with
	// (--lora-adapters); it does not tell. Each is a model of its own.
	Adapters []string `yaml:"adapters"`
	// StrictDecoupled refuses ModelInfer, as Triton does. Without it, a request
	// that is not streamed is answered there too.
	StrictDecoupled bool `yaml:"strict_decoupled"`
	// MaxTokens is how many tokens a prompt is answered with that sets no
	// max_tokens. Default: 16, as in vLLM and so in Triton.
	MaxTokens int64 `yaml:"max_tokens"`
}

// Validate checks the section by itself.
func (c *TGIConfig) Validate() []access.Problem {
	var ps problems
	if c.MaxTokens < 0 {
		ps.add("max_tokens", "must be at least 1")
	}
	if c.Model != "" {
		if err := access.CheckModelName(c.Model); err != nil {
			ps.add("model", "%s", err.Message)
		}
	}
	for i, name := range c.Adapters {
		at := fmt.Sprintf("adapters[%d]", i)
		if err := access.CheckModelName(name); err != nil {
			ps.add(at, "%s", err.Message)
		}
		if name == c.Model || slices.Index(c.Adapters, name) < i {
			ps.add(at, "%q is there twice", name)
		}
	}
	return ps
}
