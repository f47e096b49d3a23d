package openai

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
)

// maxInputs bounds how many texts are embedded at once, as OpenAI does.
const maxInputs = 2048

// input is what is to be embedded: texts, or one text as token ids.
type input struct {
	texts      []string
	tokens     []int64
	dimensions int64
	base64     bool
}

func readInput(r *Request, name string, v json.RawMessage) *Error {
	if list, ok := textsOf(v); ok && len(list) > 0 {
		if len(list) > maxInputs {
			return invalid(name, "'input' has more than %d texts", maxInputs)
		}
		r.input.texts = list
		return nil
	}
	if list, ok := integersOf(v); ok && len(list) > 0 {
		r.input.tokens = list
		return nil
	}
	// What LangChain sends of one text: a list of one list of token ids.
	var lists []json.RawMessage
	if v[0] == '[' && json.Unmarshal(v, &lists) == nil && len(lists) == 1 {
		if list, ok := integersOf(lists[0]); ok && len(list) > 0 {
			r.input.tokens = list
			return nil
		}
	}
	return invalid(name, "'input' must be text, a list of texts, or the token ids of one text")
}

func readEncoding(r *Request, name string, v json.RawMessage) *Error {
	switch {
	case same(v, `"base64"`):
		r.input.base64 = true
	case !same(v, `"float"`):
		return invalid(name, "'%s' must be float or base64", name)
	}
	return nil
}

// Vectors are the answer to a request for embeddings.
type Vectors struct {
	request *Request
	vectors [][]float32
	tokens  uint32
}

// NewVectors begins the answer to r.
func NewVectors(r *Request) *Vectors { return &Vectors{request: r} }

// Take takes a model's answer in.
func (e *Vectors) Take(a *Answer) *Error {
	e.tokens += a.number(outInputTokens)
	if floats := a.floats(outEmbedding); floats != nil {
		n := len(e.request.input.texts)
		if e.request.input.tokens != nil {
			n = 1
		}
		if n == 0 || len(floats)%n != 0 || len(floats) == 0 {
			return unreadable()
		}
		for size := len(floats) / n; len(floats) > 0; floats = floats[size:] {
			e.vectors = append(e.vectors, floats[:size])
		}
		return nil
	}
	for _, text := range a.texts(outText) {
		var v []float32
		if json.Unmarshal(bytes.TrimSpace(text), &v) != nil || len(v) == 0 {
			return unreadable()
		}
		e.vectors = append(e.vectors, v)
	}
	return nil
}

// Whole is the answer's body.
func (e *Vectors) Whole() ([]byte, *Error) {
	if len(e.vectors) != max(1, len(e.request.input.texts)) {
		return nil, unreadable()
	}
	type vector struct {
		Object    string `json:"object"`
		Index     int    `json:"index"`
		Embedding any    `json:"embedding"`
	}
	data := make([]vector, len(e.vectors))
	for i, v := range e.vectors {
		data[i] = vector{"embedding", i, v}
		for _, f := range v {
			if !e.request.input.base64 && (math.IsNaN(float64(f)) || math.IsInf(float64(f), 0)) {
				return nil, unreadable()
			}
		}
		if e.request.input.base64 {
			data[i].Embedding = inBase64(v)
		}
	}
	return encode(map[string]any{
		"object": "list", "data": data, "model": e.request.Model,
		"usage": map[string]uint32{"prompt_tokens": e.tokens, "total_tokens": e.tokens},
	}), nil
}

// inBase64 is how OpenAI's own client asks for vectors: four bytes a number, the
// least significant first.
func inBase64(v []float32) string {
	raw := make([]byte, 0, 4*len(v))
	for _, f := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
	}
	return base64.StdEncoding.EncodeToString(raw)
}
