package openai

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// alternative is a token that could have been chosen. A token has its alternatives,
// the chosen one first.
type alternative struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

type token []alternative

var errTokens = errors.New("openai: log probabilities that can't be read")

// readTokens reads what Triton's backend says of new tokens: null, or a list of
// objects by token id, the chosen token's first
// (protocol/triton-vllm-tensors.md, section 1).
func readTokens(text []byte) (all []token, err error) {
	// Python writes this of a token that could not have come; JSON has no word for it.
	text = bytes.ReplaceAll(text, []byte(`"logprob": -Infinity`), []byte(`"logprob": -9999.0`))
	var list []json.RawMessage
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	for _, v := range list {
		t, err := readToken(v)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func readToken(v json.RawMessage) (t token, err error) {
	dec := json.NewDecoder(bytes.NewReader(v))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, errTokens
	}
	for dec.More() {
		if _, err := dec.Token(); err != nil {
			return nil, err
		}
		var one struct {
			Logprob float64 `json:"logprob"`
			Decoded string  `json:"decoded_token"`
		}
		if err := dec.Decode(&one); err != nil {
			return nil, err
		}
		a := alternative{Token: one.Decoded, Logprob: one.Logprob, Bytes: []int{}}
		for _, b := range []byte(one.Decoded) {
			a.Bytes = append(a.Bytes, int(b))
		}
		t = append(t, a)
	}
	if t == nil {
		return nil, errTokens
	}
	return t, nil
}

// likeliest are at most n of a token's alternatives.
func (t token) likeliest(n int) []alternative {
	sorted := slices.Clone(t)
	slices.SortStableFunc(sorted, func(a, b alternative) int { return cmp.Compare(b.Logprob, a.Logprob) })
	return sorted[:min(n, len(sorted))]
}

// chatLogprobs are log probabilities as chats have them.
func chatLogprobs(tokens []token, top int) any {
	type chosen struct {
		alternative
		Top []alternative `json:"top_logprobs"`
	}
	content := make([]chosen, len(tokens))
	for i, t := range tokens {
		content[i] = chosen{t[0], t.likeliest(top)}
	}
	return map[string]any{"content": content}
}

// completionLogprobs are log probabilities as completions have them; offset is how
// much text came before, in characters.
func completionLogprobs(tokens []token, top, offset int) any {
	l := struct {
		Tokens   []string             `json:"tokens"`
		Logprobs []float64            `json:"token_logprobs"`
		Top      []map[string]float64 `json:"top_logprobs"`
		Offsets  []int                `json:"text_offset"`
	}{make([]string, len(tokens)), make([]float64, len(tokens)), make([]map[string]float64, len(tokens)), make([]int, len(tokens))}
	for i, t := range tokens {
		l.Tokens[i], l.Logprobs[i], l.Offsets[i] = t[0].Token, t[0].Logprob, offset
		offset += utf8.RuneCountInString(t[0].Token)
		l.Top[i] = make(map[string]float64)
		for _, a := range t.likeliest(top) {
			l.Top[i][a.Token] = a.Logprob
		}
	}
	return l
}
