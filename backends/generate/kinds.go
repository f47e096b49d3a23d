package generate

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// Kind is the type of a sampling parameter. Triton's vLLM backend casts with
// Python's constructors, so that a number may come as text. Its traps are
// closed: bool("false") is true there and false here, int(5.7) is 5 there and
// refused here, and what else would change its meaning is refused too.
type Kind uint8

// The kinds, with the Go type that a checked value has.
const (
	Int       Kind = iota + 1 // int64, from a whole number or its text
	Float                     // float64, from a number or its text; finite
	Bool                      // bool, from true, false, 1, 0, or "true", "True" …
	Text                      // string
	Texts                     // []string, from one text or a list
	Ints                      // []int64
	Biases                    // map[string]float64, from an object of numbers by token id
	JSON                      // json.RawMessage, from an object or its text
	ModelName                 // string, never sent as it is; see Sampling.Model
)

var kindNames = [...]string{
	"", "a whole number", "a number", "true or false", "text", "text or a list of texts", "a list of whole numbers",
	"an object of numbers by token id", "a JSON object", "a model's name",
}

// String says what a value of the kind must be.
func (k Kind) String() string { return kindNames[k] }

// casts has a cast for each kind; values are as encoding/json decodes them, with
// UseNumber, and float64 for numbers that were never text.
var casts = [...]func(any) (any, bool){
	Int: castInt, Float: castFloat, Bool: castBool, Text: castText, Texts: castTexts, Ints: castInts,
	Biases: castBiases, JSON: castJSON, ModelName: castText,
}

// wholeLimit is from where on float64 skips whole numbers.
const wholeLimit = 1 << 53

func castInt(v any) (any, bool) {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n, true
		}
		f, err := v.Float64()
		return int64(f), err == nil && f == math.Trunc(f) && math.Abs(f) < wholeLimit
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < wholeLimit
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		return n, err == nil
	}
	return nil, false
}

func castFloat(v any) (any, bool) {
	var f float64
	var err error
	switch v := v.(type) {
	case json.Number:
		f, err = v.Float64()
	case float64:
		f = v
	case string:
		v = strings.TrimSpace(v)
		if strings.Trim(v, "0123456789+-.eE") != "" { // no NaN, no hexadecimal, no underscores
			return nil, false
		}
		f, err = strconv.ParseFloat(v, 64)
	default:
		return nil, false
	}
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

func castBool(v any) (any, bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case json.Number:
		return v == "1", v == "1" || v == "0"
	case string:
		yes := v == "true" || v == "True"
		return yes, yes || v == "false" || v == "False"
	}
	return nil, false
}

func castText(v any) (any, bool) {
	s, ok := v.(string)
	return s, ok
}

func castTexts(v any) (any, bool) {
	if s, ok := v.(string); ok {
		return []string{s}, true
	}
	return castList[string](v, castText)
}

func castInts(v any) (any, bool) { return castList[int64](v, castInt) }

func castList[T any](v any, cast func(any) (any, bool)) (any, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]T, 0, len(list))
	for _, v := range list {
		e, ok := cast(v)
		if !ok {
			return nil, false
		}
		t, _ := e.(T)
		out = append(out, t)
	}
	return out, true
}

func castBiases(v any) (any, bool) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	out := make(map[string]float64, len(object))
	for id, v := range object {
		if n, err := strconv.ParseUint(id, 10, 31); err != nil || strconv.FormatUint(n, 10) != id {
			return nil, false
		}
		f, ok := castFloat(v)
		if !ok {
			return nil, false
		}
		out[id], _ = f.(float64)
	}
	return out, true
}

// castJSON takes an object, or its text as vLLM's structured_outputs come in
// Triton. It is written anew, so that no key is there twice.
func castJSON(v any) (any, bool) {
	if s, ok := v.(string); ok {
		dec := json.NewDecoder(strings.NewReader(s))
		dec.UseNumber()
		v = nil
		if err := dec.Decode(&v); err != nil || !ends(dec) {
			return nil, false
		}
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	b, err := json.Marshal(object)
	return json.RawMessage(b), err == nil
}
