package generate

import (
	"bytes"
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

// casts has a cast for each kind. A value is valid JSON, not null and without
// blanks around it. Nothing is decoded to find its type out: a short text can
// make a large tree.
var casts = [...]func(json.RawMessage) (any, bool){
	Int:       func(v json.RawMessage) (any, bool) { return castInt(v) },
	Float:     func(v json.RawMessage) (any, bool) { return castFloat(v) },
	Bool:      castBool,
	Text:      castText,
	Texts:     castTexts,
	Ints:      castInts,
	Biases:    castBiases,
	JSON:      castJSON,
	ModelName: castText,
}

// wholeLimit is from where on float64 skips whole numbers.
const wholeLimit = 1 << 53

// scalar returns the text of a string, or the value itself.
func scalar(v json.RawMessage) (text string, quoted bool) {
	if v[0] != '"' {
		return string(v), false
	}
	err := json.Unmarshal(v, &text)
	return text, err == nil
}

func castInt(v json.RawMessage) (int64, bool) {
	text, quoted := scalar(v)
	if quoted {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		return n, err == nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, ok := castFloat(v) // 5.0 is whole
	return int64(f), ok && f == math.Trunc(f) && math.Abs(f) < wholeLimit
}

func castFloat(v json.RawMessage) (float64, bool) {
	text, quoted := scalar(v)
	if quoted {
		text = strings.TrimSpace(text)
	}
	if strings.Trim(text, "0123456789+-.eE") != "" { // no NaN, no hexadecimal, no underscores
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}

func castBool(v json.RawMessage) (any, bool) {
	switch text, quoted := scalar(v); {
	case text == "true", quoted && text == "True", !quoted && text == "1":
		return true, true
	case text == "false", quoted && text == "False", !quoted && text == "0":
		return false, true
	}
	return nil, false
}

func castText(v json.RawMessage) (any, bool) {
	text, quoted := scalar(v)
	return text, quoted
}

func castTexts(v json.RawMessage) (any, bool) {
	if text, quoted := scalar(v); quoted {
		return []string{text}, true
	}
	var list []*string
	if v[0] != '[' || json.Unmarshal(v, &list) != nil {
		return nil, false
	}
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s == nil {
			return nil, false
		}
		out = append(out, *s)
	}
	return out, true
}

func castInts(v json.RawMessage) (any, bool) {
	var list []json.RawMessage
	if v[0] != '[' || json.Unmarshal(v, &list) != nil {
		return nil, false
	}
	out := make([]int64, 0, len(list))
	for _, e := range list {
		n, ok := castInt(e)
		if !ok {
			return nil, false
		}
		out = append(out, n)
	}
	return out, true
}

func castBiases(v json.RawMessage) (any, bool) {
	var object map[string]json.RawMessage
	if v[0] != '{' || json.Unmarshal(v, &object) != nil {
		return nil, false
	}
	out := make(map[string]float64, len(object))
	for id, e := range object {
		if n, err := strconv.ParseUint(id, 10, 31); err != nil || strconv.FormatUint(n, 10) != id {
			return nil, false
		}
		f, ok := castFloat(e)
		if !ok {
			return nil, false
		}
		out[id] = f
	}
	return out, true
}

// castJSON takes an object, or its text as vLLM's structured_outputs come in
// Triton.
func castJSON(v json.RawMessage) (any, bool) {
	if text, quoted := scalar(v); quoted {
		v = json.RawMessage(strings.TrimSpace(text))
	}
	var b bytes.Buffer
	if len(v) == 0 || v[0] != '{' || json.Compact(&b, v) != nil {
		return nil, false
	}
	return json.RawMessage(b.Bytes()), true
}
