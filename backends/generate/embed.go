package generate

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

var errVectors = errors.New("the vectors are not as many as the texts, or not of one length")

// askVectors reads an embedding_request, as Triton's own OpenAI front end writes
// it: {"input": text or token ids, "pooling_params": {"dimensions": [n]}}.
func (j *job) askVectors(b *Backend, text string) *access.Error {
	var r struct {
		Input  json.RawMessage `json:"input"`
		Params struct {
			Dimensions []int64 `json:"dimensions"`
		} `json:"pooling_params"`
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return malformed(`embedding_request must be the text of a JSON object with "input" and, optionally, "pooling_params"`)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return malformed("embedding_request has something behind its JSON object")
	}
	j.embed = &EmbedRequest{Model: j.model}
	var one string
	switch {
	case json.Unmarshal(r.Input, &one) == nil && len(r.Input) > 0 && r.Input[0] == '"':
		j.embed.Texts = []string{one}
	case json.Unmarshal(r.Input, &j.embed.Tokens) == nil && len(j.embed.Tokens) > 0:
	default:
		return malformed(`embedding_request's "input" must be text or a list of token ids`)
	}
	if len(r.Params.Dimensions) > 0 {
		j.embed.Dimensions = r.Params.Dimensions[0]
	}
	return nil
}

// vectorStep makes an answer of n vectors.
func vectorStep(e *Embedding, n int) (*step, error) {
	if len(e.Vectors) != n || len(e.Vectors[0]) == 0 {
		return nil, Garbage(errVectors)
	}
	st := &step{vectors: e.Vectors, dims: len(e.Vectors[0]), input: uint32(max(0, e.Input)), output: []uint32{0}} //nolint:gosec // a number of tokens
	for _, v := range e.Vectors {
		if len(v) != st.dims {
			return nil, Garbage(errVectors)
		}
	}
	b, err := json.Marshal(e.Vectors[0])
	if err != nil {
		return nil, Garbage(err)
	}
	st.texts = []string{string(b)}
	return st, nil
}
