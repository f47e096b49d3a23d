package openai

import (
	"encoding/json"
	"maps"
	"math"

	"github.com/sluice-gateway/sluice/access"
)

const (
	// maxN bounds how many sequences a request may ask for, maxStops its stop texts,
	// and maxTop the alternatives to a token; each costs memory here.
	maxN     = 128
	maxStops = 16
	maxTop   = 20
)

// rule reads a field into a request.
type rule func(r *Request, name string, v json.RawMessage) *Error

// rules has all fields of each route.
var rules = map[Route]map[string]rule{
	Completions: join(both(), map[string]rule{
		"prompt":   readPrompt,
		"logprobs": readLogprobs,
		"echo":     checked(boolean, func(r *Request, v json.RawMessage) { r.echo = isTrue(v) }),
		"best_of":  checked(integer(1, maxN), nil),
		"suffix":   only(`""`),
	}),
	Chat: join(both(), map[string]rule{
		"messages":              readMessages,
		"logprobs":              checked(boolean, func(r *Request, v json.RawMessage) { r.logprobs = isTrue(v) }),
		"top_logprobs":          checked(integer(0, maxTop), func(r *Request, v json.RawMessage) { r.top = int(intOf(v)) }),
		"max_completion_tokens": sampled(integer(1, math.MaxInt32)),
		"response_format":       readFormat,
		"modalities":            only(`["text"]`),
		"tools":                 only(`[]`),
		"tool_choice":           only(`"none"`, `"auto"`),
		"functions":             only(`[]`),
		"function_call":         only(`"none"`, `"auto"`),
		"parallel_tool_calls":   checked(boolean, nil),
		"prediction":            unused,
	}),
	Embeddings: join(map[string]rule{
		"input":           readInput,
		"encoding_format": readEncoding,
		"dimensions":      checked(integer(1, math.MaxInt32), func(r *Request, v json.RawMessage) { r.input.dimensions = intOf(v) }),
	}, everywhere()),
}

func join(all ...map[string]rule) map[string]rule {
	joined := make(map[string]rule)
	for _, m := range all {
		maps.Copy(joined, m)
	}
	return joined
}

// everywhere are fields that each route has. All but the model's name are for
// OpenAI's own bookkeeping and change no answer.
func everywhere() map[string]rule {
	return map[string]rule{
		"model": checked(isText, nil),
		"user":  checked(isText, nil), "safety_identifier": unused, "metadata": unused, "store": unused, "service_tier": unused,
		"prompt_cache_key": unused, "prompt_cache_retention": unused,
	}
}

// both are the fields of the routes that generate text. Those from top_k on are
// vLLM's own.
func both() map[string]rule {
	return join(everywhere(), map[string]rule{
		"stream":            checked(boolean, func(r *Request, v json.RawMessage) { r.Stream = isTrue(v) }),
		"stream_options":    readStreamOptions,
		"n":                 sampled(integer(1, maxN)),
		"max_tokens":        sampled(integer(1, math.MaxInt32)),
		"temperature":       sampled(number(0, 100)),
		"top_p":             sampled(number(0, 1)),
		"seed":              sampled(integer(math.MinInt64, math.MaxInt64)),
		"stop":              sampled(texts(maxStops)),
		"presence_penalty":  sampled(number(-2, 2)),
		"frequency_penalty": sampled(number(-2, 2)),
		"logit_bias":        sampled(biases),

		"top_k":                      sampled(integer(-1, math.MaxInt32)),
		"min_p":                      sampled(number(0, 1)),
		"min_tokens":                 sampled(integer(0, math.MaxInt32)),
		"repetition_penalty":         sampled(number(0, 100)),
		"stop_token_ids":             sampled(integers),
		"ignore_eos":                 sampled(boolean),
		"skip_special_tokens":        sampled(boolean),
		"include_stop_str_in_output": sampled(boolean),
	})
}

// checked reads a field of a type; read may be nil where that is all.
func checked(is value, read func(r *Request, v json.RawMessage)) rule {
	return func(r *Request, name string, v json.RawMessage) *Error {
		if must := is(v); must != "" {
			return invalid(name, "'%s' must be %s", name, must)
		}
		if read != nil {
			read(r, v)
		}
		return nil
	}
}

// sampled takes a field over as the sampling parameter of the same name.
func sampled(is value) rule {
	return func(r *Request, name string, v json.RawMessage) *Error {
		return checked(is, func(r *Request, v json.RawMessage) { r.sampling[name] = v })(r, name, v)
	}
}

// unused is a field that changes no answer, whatever it says.
func unused(*Request, string, json.RawMessage) *Error { return nil }

// only takes a field with values that change nothing; any other would, and there is
// no tensor for it.
func only(values ...string) rule {
	return func(_ *Request, name string, v json.RawMessage) *Error {
		for _, harmless := range values {
			if same(v, harmless) {
				return nil
			}
		}
		return invalid(name, "'%s' is not supported, except %s", name, values[0])
	}
}

// same tells whether two texts of short JSON mean the same.
func same(v json.RawMessage, other string) bool {
	const short = 64
	if len(v) > short {
		return false
	}
	var compact any
	if json.Unmarshal(v, &compact) != nil {
		return false
	}
	return string(encode(compact)) == other
}

func readStreamOptions(r *Request, name string, v json.RawMessage) *Error {
	fields, err := object(name, v)
	if err != nil {
		return err
	}
	for field, v := range fields {
		if field != "include_usage" && field != "include_obfuscation" {
			return invalid(name, "unknown field %s of '%s'", access.Quote(field), name)
		}
		if must := boolean(v); must != "" {
			return invalid(name, "'%s.%s' must be %s", name, field, must)
		}
	}
	r.IncludeUsage = isTrue(fields["include_usage"])
	return nil
}

// readLogprobs reads the number that completions have: of the alternatives.
func readLogprobs(r *Request, name string, v json.RawMessage) *Error {
	return checked(integer(0, maxTop), func(r *Request, v json.RawMessage) { r.logprobs, r.top = true, int(intOf(v)) })(r, name, v)
}

// readFormat takes JSON as vLLM's structured_outputs, which Triton wants as text.
func readFormat(r *Request, name string, v json.RawMessage) *Error {
	fields, err := object(name, v)
	if err != nil {
		return err
	}
	kind := ""
	if v, there := fields["type"]; there && isText(v) == "" {
		kind = textOf(v)
	}
	switch kind {
	case "text":
		return nil
	case "json_object":
		r.sampling["structured_outputs"] = encode(`{"json_object":true}`)
		return nil
	case "json_schema":
	default:
		return invalid(name, "'%s.type' must be text, json_object or json_schema", name)
	}
	outer, err := object(name+".json_schema", fields["json_schema"])
	if err != nil {
		return err
	}
	if _, err := object(name+".json_schema.schema", outer["schema"]); err != nil {
		return err
	}
	r.sampling["structured_outputs"] = encode(string(encode(map[string]json.RawMessage{"json": outer["schema"]})))
	return nil
}
