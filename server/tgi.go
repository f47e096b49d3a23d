package server

import (
	"cmp"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/openai"
	"github.com/sluice-gateway/sluice/backends/tgi"
)

func (r replica) tgi() (backends.Backend, error) {
	var c backends.TGIConfig
	if r.config.TGI != nil {
		c = *r.config.TGI
	}
	client, err := r.client()
	if err != nil {
		return nil, err
	}
	s := tgi.New(tgi.Options{Client: client, Model: c.Model, Adapters: c.Adapters})
	o := r.generates(s, tgi.Schema(), backends.LLMConfig{StrictDecoupled: c.StrictDecoupled})
	// As vLLM's defaults, but for those that TGI has as well.
	o.Defaults = map[string]any{"max_tokens": cmp.Or(c.MaxTokens, openai.DefaultMaxTokens)}
	return generate.New(o), nil
}
