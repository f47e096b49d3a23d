package guard

import (
	"math"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// tokenKeys are what servers call the most tokens that they are asked for: vLLM,
// OpenAI's routes, TGI, TensorRT-LLM; as parameters and as inputs.
var tokenKeys = []string{"max_tokens", "max_completion_tokens", "max_new_tokens", "max_output_tokens", "request_output_len"}

// tooManyTokens looks at every place from which a server could take the number.
// One that is not a plain number could be read as any.
func (g *guard) tooManyTokens(r *reading) (bool, error) {
	own, err := r.params()
	if err != nil {
		return false, err
	}
	sampling, err := r.samples()
	if err != nil {
		return false, err
	}
	for _, key := range tokenKeys {
		for _, from := range []map[string]any{own, sampling} {
			v, there := from[key]
			if !there {
				continue
			}
			if many, err := g.many(key, v); many || err != nil {
				return many, err
			}
		}
		if many, err := g.tokenInput(r, key); many || err != nil {
			return many, err
		}
	}
	return false, nil
}

// many reads a number as Python's int() would; text that it might read in some
// other way is refused.
func (g *guard) many(key string, v any) (bool, error) {
	limit := g.DenyList.MaxTokens
	switch v := v.(type) {
	case int64:
		return v > limit, nil
	case uint64:
		return v > uint64(limit), nil
	case float64:
		if math.IsNaN(v) {
			return true, nil
		}
		return v > float64(limit), nil
	case string:
		if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil {
			return n > limit, nil
		}
	}
	return false, fail("%s must be a number: anything else may mean no limit to a server", key)
}

// tokenInput reads the number out of an input, as TensorRT-LLM has it.
func (g *guard) tokenInput(r *reading, key string) (bool, error) {
	i, err := r.find(key)
	if err != nil || i == nil {
		return false, err
	}
	t := i.tensor.Type()
	switch {
	case i.shared, t == wire.UnknownType, i.hasRaw && i.tensor.HasContents(), !i.hasRaw && !i.tensor.Contents().OnlyFor(i.datatype):
		return false, fail("input %s can't be looked at: send it in the request, as a number", key)
	case t == wire.Bytes:
		texts, err := r.texts(i)
		if err != nil {
			return false, err
		}
		for _, text := range texts {
			if many, err := g.many(key, text); many || err != nil {
				return many, err
			}
		}
		return false, nil
	}
	raw, err := i.numbers(t)
	if err != nil {
		return false, err
	}
	for size := t.Size(); len(raw) >= size; raw = raw[size:] {
		var v any
		switch {
		case t.IsFloat():
			v = t.Float(raw)
		case t == wire.Uint64:
			v = uint64(t.Integer(raw))
		default:
			v = t.Integer(raw)
		}
		if many, err := g.many(key, v); many || err != nil {
			return many, err
		}
	}
	return false, nil
}

// numbers is an input's data as raw data; there are few numbers, one of a request.
func (i *input) numbers(t wire.Datatype) ([]byte, error) {
	if i.bytes() > maxListed*8 {
		return nil, fail("input %s has too many numbers", access.Quote(i.name))
	}
	if i.hasRaw {
		if i.raw.Len()%t.Size() != 0 {
			return nil, fail("the data of input %s is not of its datatype", access.Quote(i.name))
		}
		return i.raw.Bytes(), nil
	}
	var raw []byte
	for bits := range i.tensor.Contents().Numbers(t.String()) {
		at := len(raw)
		raw = append(raw, make([]byte, t.Size())...)
		t.PutBits(raw[at:], bits)
	}
	return raw, nil
}
