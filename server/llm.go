package server

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/openai"
	"github.com/sluice-gateway/sluice/backends/vllm"
)

// client is the HTTP client of a replica that is reached by URL. The address may
// end in the "/v1" that OpenAI's own clients want.
func (r replica) client() (*generate.Client, error) {
	credential := r.forwarder.Credential
	if r.shows != nil {
		credential = r.shows.Metadata
	}
	client, err := generate.NewClient(generate.ClientOptions{
		Address: strings.TrimSuffix(strings.TrimSuffix(r.address, "/"), "/v1"), DialTLS: r.dialTLS, Credential: credential,
	})
	if err != nil {
		return nil, fmt.Errorf("backend %s: %w", r.config.Name, err)
	}
	return client, nil
}

// generates makes a backend of a server of generated text.
func (r replica) generates(s generate.Server, schema generate.Schema, c backends.LLMConfig) generate.Options {
	defaults := openai.Defaults()
	defaults["max_tokens"] = cmp.Or(c.MaxTokens, openai.DefaultMaxTokens)
	var authorize func(ctx context.Context, model string) error
	if r.mayChoose != nil {
		authorize = func(ctx context.Context, model string) error { return r.mayChoose(ctx, r.config, model) }
	}
	return generate.Options{
		Authorize: authorize, Replicated: len(r.config.Addresses) > 1 || strings.HasPrefix(r.config.Addresses[0], "dns"),
		Name: r.config.Name, Kind: r.config.Type, Server: s, Schema: schema, Defaults: defaults, Forwarder: r.forwarder,
		StrictDecoupled: c.StrictDecoupled, Embeds: c.Embeds, Images: c.Images, Log: r.log,
	}
}

func (r replica) openai() (backends.Backend, error) {
	var c backends.OpenAIConfig
	if r.config.OpenAI != nil {
		c = *r.config.OpenAI
	}
	client, err := r.client()
	if err != nil {
		return nil, err
	}
	dialect := openai.Dialects()[cmp.Or(c.Dialect, openai.Plain.Name)]
	return generate.New(r.generates(openai.New(client, dialect), dialect.Schema, c.LLMConfig)), nil
}

func (r replica) vllm() (backends.Backend, error) {
	var c backends.VLLMConfig
	if r.config.VLLM != nil {
		c = *r.config.VLLM
	}
	client, err := r.client()
	if err != nil {
		return nil, err
	}
	o := r.generates(vllm.New(client), openai.VLLM.Schema, c.LLMConfig)
	o.AdapterPaths, o.CallerPaths = c.Adapters, c.CallerPaths
	return generate.New(o), nil
}
