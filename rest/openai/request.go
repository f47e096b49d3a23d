package openai

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/access"
)

// Route is one of OpenAI's routes that take a request.
type Route uint8

// The routes.
const (
	Completions Route = iota + 1 // /v1/completions
	Chat                         // /v1/chat/completions
	Embeddings                   // /v1/embeddings
)

// Request is a request that has been read, and checked but for what its model
// takes.
type Request struct {
	Route Route
	Model string
	// Stream: the answer comes in events, IncludeUsage: with the numbers of tokens
	// at the end.
	Stream, IncludeUsage bool

	fields   map[string]json.RawMessage
	sampling map[string]json.RawMessage
	prompt   string
	messages []message
	input    input
	logprobs bool
	top      int // how many alternatives to each token
	echo     bool
}

// Model finds which model a request is for. It looks at nothing else, so that who
// may not use a model learns just that.
func Model(body []byte) (string, map[string]json.RawMessage, *Error) {
	fields, err := object("", body)
	if err != nil {
		return "", nil, err
	}
	v, there := fields["model"]
	if !there {
		return "", nil, invalid("model", "you must provide a model")
	}
	if must := isText(v); must != "" {
		return "", nil, invalid("model", "'model' must be %s", must)
	}
	return textOf(v), fields, nil
}

// Read checks the fields that [Model] has found.
func Read(route Route, model string, fields map[string]json.RawMessage) (*Request, *Error) {
	r := &Request{Route: route, Model: model, fields: fields, sampling: make(map[string]json.RawMessage)}
	known := rules[route]
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		rule, ok := known[name]
		if !ok {
			return nil, invalid(access.Quote(name), "unknown field %s%s", access.Quote(name), access.DidYouMean(name, slices.Sorted(maps.Keys(known))))
		}
		if err := rule(r, name, fields[name]); err != nil {
			return nil, err
		}
	}
	return r, r.together()
}

// together checks what fields mean beside each other.
func (r *Request) together() *Error {
	switch r.Route {
	case Chat:
		if r.messages == nil {
			return invalid("messages", "you must provide messages")
		}
		if r.top > 0 && !r.logprobs {
			return invalid("top_logprobs", "'top_logprobs' needs 'logprobs' to be true")
		}
	case Completions:
		if _, there := r.fields["prompt"]; !there {
			return invalid("prompt", "you must provide a prompt")
		}
		if r.echo && (r.Stream || r.logprobs) {
			return invalid("echo", "'echo' goes with neither 'stream' nor 'logprobs'")
		}
	case Embeddings:
		if r.input.texts == nil && r.input.tokens == nil {
			return invalid("input", "you must provide an input")
		}
		return nil
	}
	if most, there := r.sampling["max_completion_tokens"]; there {
		if other, both := r.sampling["max_tokens"]; both && intOf(other) != intOf(most) {
			return invalid("max_tokens", "'max_tokens' and 'max_completion_tokens' are two words for the same limit; say one")
		}
		r.sampling["max_tokens"] = most
		delete(r.sampling, "max_completion_tokens")
	}
	if r.logprobs {
		r.sampling["logprobs"] = encode(r.top)
	}
	if r.IncludeUsage && !r.Stream {
		return invalid("stream_options", "'stream_options' goes with 'stream' alone")
	}
	return r.bestOf()
}

// bestOf takes the number of sequences to choose from where it leaves no choice.
func (r *Request) bestOf() *Error {
	best, there := r.fields["best_of"]
	n := int64(1)
	if v, said := r.sampling["n"]; said {
		n = intOf(v)
	}
	if there && intOf(best) != n {
		return invalid("best_of", "'best_of' other than 'n' is not supported")
	}
	return nil
}
