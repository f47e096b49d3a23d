package generate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
)

const (
	// maxSampling bounds the text of the sampling parameters, in bytes: the largest
	// that make sense hold a JSON schema.
	maxSampling = 256 << 10
	// MaxSequences bounds "n", for each sequence has a state here.
	MaxSequences = 128
)

// Parameter is one sampling parameter that a server takes.
type Parameter struct {
	Kind Kind
	// As is what the server calls it; "" where it is the same.
	As string
}

// Schema has the sampling parameters that a server takes, by the names that
// callers use: those of vLLM's SamplingParams. A parameter that is not here is
// refused by name, for most servers ignore what they don't know.
type Schema map[string]Parameter

// Sampling is what a request's sampling parameters say.
type Sampling struct {
	// Values are the parameters under the server's names.
	Values map[string]any
	// Model is the adapter or other model that a parameter of kind [ModelName]
	// chose, and Key that parameter; "" where none did.
	Model, Key string
	// N is how many sequences are wanted.
	N int
	// Logprobs: log probabilities are wanted, so that the output of that name is
	// not "null".
	Logprobs bool
}

// Check reads sampling parameters out of the text of a JSON object, as the
// tensor sampling_parameters holds it. Its errors are Malformed and name what is
// wrong: an unknown key, a key that is there twice, a value of a wrong type.
func (s Schema) Check(text string) (*Sampling, *access.Error) {
	if len(text) > maxSampling {
		return nil, malformed("sampling_parameters are %d bytes, more than %d", len(text), maxSampling)
	}
	dec := json.NewDecoder(strings.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, malformed("sampling_parameters must be the text of a JSON object")
	}
	values := make(map[string]json.RawMessage)
	for dec.More() {
		t, err := dec.Token()
		key, ok := t.(string)
		var value json.RawMessage
		if err == nil && ok {
			err = dec.Decode(&value)
		}
		if err != nil || !ok {
			return nil, malformed("sampling_parameters must be the text of a JSON object")
		}
		if _, twice := values[key]; twice {
			return nil, malformed("sampling parameter %s is there twice", access.Quote(key))
		}
		values[key] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, malformed("sampling_parameters must be the text of a JSON object")
	}
	if !ends(dec) {
		return nil, malformed("sampling_parameters have something behind their JSON object")
	}
	return s.cast(values)
}

// ends tells whether nothing but blanks is left.
func ends(dec *json.Decoder) bool {
	_, err := dec.Token()
	return errors.Is(err, io.EOF)
}

// notSampling are the request parameters that Triton never gives to a model as
// sampling parameters; so are all with one of the prefixes.
var (
	notSampling         = []string{"priority", "timeout", "headers", "binary_data_output"}
	notSamplingPrefixes = []string{"triton_", "sequence_"}
)

// CheckRequest reads sampling parameters out of a request's own parameters,
// which count where there is no tensor. Its errors are those of [Schema.Check].
func (s Schema) CheckRequest(params map[string]*inference.InferParameter) (*Sampling, *access.Error) {
	values := make(map[string]json.RawMessage)
	for key, p := range params {
		if slices.Contains(notSampling, key) || slices.ContainsFunc(notSamplingPrefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
			continue
		}
		value, err := json.Marshal(choice(p))
		if err != nil {
			return nil, malformed("parameter %s must be a finite number", access.Quote(key))
		}
		values[key] = value
	}
	return s.cast(values)
}

// choice is a parameter's value; nil where nothing is set.
func choice(p *inference.InferParameter) any {
	switch v := p.GetParameterChoice().(type) {
	case *inference.InferParameter_BoolParam:
		return v.BoolParam
	case *inference.InferParameter_Int64Param:
		return v.Int64Param
	case *inference.InferParameter_Uint64Param:
		return v.Uint64Param
	case *inference.InferParameter_DoubleParam:
		return v.DoubleParam
	case *inference.InferParameter_StringParam:
		return v.StringParam
	}
	return nil
}

// cast gives each value the type that the server wants. A null is a parameter
// that is not there, as None is to vLLM.
func (s Schema) cast(values map[string]json.RawMessage) (*Sampling, *access.Error) {
	out := &Sampling{Values: make(map[string]any, len(values)), N: 1}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		p, known := s[key]
		if !known {
			return nil, malformed("unknown sampling parameter %s%s", access.Quote(key), access.DidYouMean(key, slices.Sorted(maps.Keys(s))))
		}
		if string(values[key]) == "null" {
			continue
		}
		v, ok := casts[p.Kind](values[key])
		if !ok {
			return nil, malformed("sampling parameter %s must be %s", access.Quote(key), p.Kind)
		}
		if p.Kind == ModelName {
			if err := out.choose(key, v); err != nil {
				return nil, err
			}
			continue
		}
		if key == "n" {
			n, _ := v.(int64)
			if n < 1 || n > MaxSequences {
				return nil, malformed("sampling parameter %q must be from 1 to %d", key, MaxSequences)
			}
			out.N = int(n)
		}
		out.Logprobs = out.Logprobs || key == "logprobs"
		if p.As != "" {
			key = p.As
		}
		out.Values[key] = v
	}
	return out, nil
}

// choose notes the model that a parameter names. Two could mean two models.
func (out *Sampling) choose(key string, v any) *access.Error {
	if out.Key != "" {
		return malformed("sampling parameters %q and %q both choose a model", out.Key, key)
	}
	name, _ := v.(string)
	if err := access.CheckModelName(name); err != nil {
		return err
	}
	out.Key, out.Model = key, name
	return nil
}

func malformed(format string, args ...any) *access.Error {
	return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: fmt.Sprintf(format, args...)}
}
