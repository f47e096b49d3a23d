package tgi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/generate"
)

// Schema is the sampling parameters that TGI can be given, under the names of
// vLLM's SamplingParams, and typical_p, truncate and watermark of its own.
// lora_name and adapter_id choose an adapter.
func Schema() generate.Schema {
	s := generate.Schema{
		"n": {Kind: generate.Int}, "max_tokens": {Kind: generate.Int}, "temperature": {Kind: generate.Float}, "top_p": {Kind: generate.Float},
		"top_k": {Kind: generate.Int}, "typical_p": {Kind: generate.Float}, "repetition_penalty": {Kind: generate.Float},
		"frequency_penalty": {Kind: generate.Float}, "stop": {Kind: generate.Texts}, "include_stop_str_in_output": {Kind: generate.Bool},
		"seed": {Kind: generate.Int}, "logprobs": {Kind: generate.Int}, "truncate": {Kind: generate.Int}, "watermark": {Kind: generate.Bool},
		"structured_outputs": {Kind: generate.JSON}, "lora_name": {Kind: generate.ModelName}, "adapter_id": {Kind: generate.ModelName},
	}
	for name, neutral := range neutrals {
		kind := map[bool]generate.Kind{true: generate.Bool, false: generate.Float}[isBool(neutral)]
		s[name] = generate.Parameter{Kind: kind}
	}
	return s
}

// neutrals are parameters of vLLM's that TGI lacks, with the value that changes
// nothing. Clients send it; another is refused.
var neutrals = map[string]any{"presence_penalty": 0.0, "min_p": 0.0, "min_tokens": 0.0, "ignore_eos": false, "skip_special_tokens": true}

func isBool(v any) bool {
	_, ok := v.(bool)
	return ok
}

// same are the parameters that go on as they are, some under TGI's name.
var same = map[string]string{
	"max_tokens": "max_new_tokens", "repetition_penalty": "repetition_penalty", "frequency_penalty": "frequency_penalty",
	"stop": "stop", "seed": "seed", "truncate": "truncate", "watermark": "watermark",
}

// asks tells whether a parameter was given.
func asks(r *generate.Request, name string) bool { _, there := r.Parameters[name]; return there }

// body is the request to either route.
func (s *Server) body(r *generate.Request) (any, *access.Error) {
	if r.Messages != nil {
		return nil, errMessages
	}
	for _, name := range slices.Sorted(maps.Keys(neutrals)) {
		if v, there := r.Parameters[name]; there && v != neutrals[name] {
			return nil, unsupported("this model's server has no sampling parameter %q; leave it out", name)
		}
	}
	if r.N != 1 {
		return nil, unsupported("this model's server makes one sequence a request; leave out sampling parameter %q", "n")
	}
	// Without details, a stream's end does not say why it is one.
	p := map[string]any{"details": true, "return_full_text": false}
	for name, value := range r.Parameters {
		if as, plain := same[name]; plain {
			p[as] = value
		}
	}
	if n, there := r.Parameters["logprobs"].(int64); there && n > 0 {
		p["top_n_tokens"] = n
	}
	if s.adapter(r.Model) {
		p["adapter_id"] = r.Model
	}
	addSampling(p, r.Parameters)
	if err := addGrammar(p, r.Parameters); err != nil {
		return nil, err
	}
	return map[string]any{"inputs": r.Prompt, "parameters": p}, nil
}

// addSampling says how tokens are drawn. Where TGI finds "parameters" it does
// not draw unless it is told to or finds a number that is about drawing, even one
// that elsewhere switches something off. So a temperature of 0 takes all of them
// away, and what means "off" is left out; TGI refuses it, too.
func addSampling(p, given map[string]any) {
	if t, there := given["temperature"].(float64); there && t == 0 {
		p["do_sample"] = false
		return
	}
	p["do_sample"] = true
	for _, name := range []string{"temperature", "top_p", "typical_p"} {
		if v, there := given[name].(float64); there && (name == "temperature" || v != 1) {
			p[name] = v
		}
	}
	if k, there := given["top_k"].(int64); there && k != 0 && k != -1 {
		p["top_k"] = k
	}
}

// addGrammar turns vLLM's structured_outputs into TGI's grammar.
func addGrammar(p, given map[string]any) *access.Error {
	raw, there := given["structured_outputs"].(json.RawMessage)
	if !there {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&fields); err != nil {
		return malformed("sampling parameter %q must be a JSON object", "structured_outputs")
	}
	for _, kind := range []string{"json", "regex"} {
		if value, there := fields[kind]; there && len(fields) == 1 {
			p["grammar"] = map[string]any{"type": kind, "value": value}
			return nil
		}
	}
	return unsupported("this model's server takes in sampling parameter %q one of \"json\" and \"regex\", and nothing else", "structured_outputs")
}

func unsupported(format string, args ...any) *access.Error {
	return &access.Error{Kind: access.Malformed, Reason: access.ReasonUnsupported, Message: fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...any) *access.Error {
	return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: fmt.Sprintf(format, args...)}
}
