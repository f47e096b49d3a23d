package openai

import (
	"maps"

	"github.com/sluice-gateway/sluice/backends/generate"
)

// Dialect is what must be known of a kind of server beyond OpenAI's own words.
type Dialect struct {
	// Name is what the configuration calls it.
	Name string
	// Schema has the sampling parameters that it takes. Most servers ignore what
	// they do not know, so that nothing else may be sent.
	Schema generate.Schema
	// Health is the route that tells whether it is ready; "" asks for its models.
	Health string
	// CountsEach: asked to, it tells the numbers of tokens with each chunk.
	CountsEach bool
	// Timings: asked to, it tells with each chunk how many tokens there are in
	// its own "timings".
	Timings bool
	// TokenIDs: asked to, it tells the numbers of the tokens.
	TokenIDs bool
	// LeastLogprobs is the least "logprobs" of a completion that brings those of the
	// chosen tokens.
	LeastLogprobs int
	// NoReasoning: a chat leaves its reasoning out if asked to.
	NoReasoning bool
}

// common are OpenAI's own parameters that vLLM has under the same names.
var common = generate.Schema{
	"n":                 {Kind: generate.Int},
	"temperature":       {Kind: generate.Float},
	"top_p":             {Kind: generate.Float},
	"max_tokens":        {Kind: generate.Int},
	"stop":              {Kind: generate.Texts},
	"seed":              {Kind: generate.Int},
	"presence_penalty":  {Kind: generate.Float},
	"frequency_penalty": {Kind: generate.Float},
	"logit_bias":        {Kind: generate.Biases},
	"logprobs":          {Kind: generate.Int},
}

func with(more generate.Schema) generate.Schema {
	all := maps.Clone(common)
	maps.Copy(all, more)
	return all
}

// The dialects. VLLM is as of vLLM 0.32, without what a caller has no business
// to say to it: request ids, priorities, prompt embeddings, transfers of caches.
var (
	Plain = Dialect{Name: "openai", Schema: common, LeastLogprobs: 1}

	LlamaCPP = Dialect{
		Name: "llama.cpp", Health: "/health", Timings: true, LeastLogprobs: 1,
		Schema: with(generate.Schema{
			"top_k":              {Kind: generate.Int},
			"min_p":              {Kind: generate.Float},
			"repetition_penalty": {Kind: generate.Float, As: "repeat_penalty"},
			"ignore_eos":         {Kind: generate.Bool},
		}),
	}

	SGLang = Dialect{
		Name: "sglang", Health: "/health", CountsEach: true, LeastLogprobs: 1,
		Schema: with(generate.Schema{
			"top_k":               {Kind: generate.Int},
			"min_p":               {Kind: generate.Float},
			"min_tokens":          {Kind: generate.Int},
			"repetition_penalty":  {Kind: generate.Float},
			"stop_token_ids":      {Kind: generate.Ints},
			"ignore_eos":          {Kind: generate.Bool},
			"skip_special_tokens": {Kind: generate.Bool},
		}),
	}

	VLLM = Dialect{
		Name: "vllm", Health: "/health", CountsEach: true, TokenIDs: true, NoReasoning: true,
		Schema: with(generate.Schema{
			"top_k":                         {Kind: generate.Int},
			"min_p":                         {Kind: generate.Float},
			"min_tokens":                    {Kind: generate.Int},
			"repetition_penalty":            {Kind: generate.Float},
			"stop_token_ids":                {Kind: generate.Ints},
			"bad_words":                     {Kind: generate.Texts},
			"allowed_token_ids":             {Kind: generate.Ints},
			"ignore_eos":                    {Kind: generate.Bool},
			"skip_special_tokens":           {Kind: generate.Bool},
			"spaces_between_special_tokens": {Kind: generate.Bool},
			"include_stop_str_in_output":    {Kind: generate.Bool},
			"truncate_prompt_tokens":        {Kind: generate.Int},
			"structured_outputs":            {Kind: generate.JSON},
			"lora_name":                     {Kind: generate.ModelName},
		}),
	}
)

// Dialects lists those that type openai can be, by name.
func Dialects() map[string]Dialect {
	return map[string]Dialect{Plain.Name: Plain, LlamaCPP.Name: LlamaCPP, SGLang.Name: SGLang}
}

// DefaultMaxTokens is vLLM's own number of tokens.
const DefaultMaxTokens int64 = 16

// Defaults are vLLM's own for a prompt, which Triton's backend has: a server's may
// be to go on for ever, or come from the model's files.
func Defaults() map[string]any {
	return map[string]any{"max_tokens": DefaultMaxTokens, "temperature": 1.0}
}
