package openai

import (
	"cmp"
	"net/http"
	"unicode/utf8"
)

// maxText bounds the text of an answer that does not come in events, in bytes.
const maxText = 64 << 20

// Generation is the answer to a request for text while it comes in. It belongs to
// one goroutine.
type Generation struct {
	request *Request
	id      string
	created int64

	sequences []sequence
	size      int
	input     uint32
	output    uint32
	counted   bool // the model counts tokens
}

// sequence is one of the texts that were asked for.
type sequence struct {
	text     []byte // that is not told yet
	cut      []byte // the beginning of a character
	finish   string
	logprobs []token
	begun    bool
	offset   int // of the text that is told, in characters
}

// NewGeneration begins the answer to r, which was created at a time in seconds
// since 1970. id has to be unlike that of any other answer.
func NewGeneration(r *Request, id string, created int64) *Generation {
	prefix := "cmpl-"
	if r.Route == Chat {
		prefix = "chatcmpl-"
	}
	return &Generation{request: r, id: prefix + id, created: created}
}

// Take takes a model's answer in.
func (g *Generation) Take(a *Answer) *Error {
	texts := a.texts(outText)
	if len(texts) > maxN {
		return unreadable()
	}
	for len(g.sequences) < len(texts) {
		g.sequences = append(g.sequences, sequence{})
	}
	for i, text := range texts {
		if g.size += len(text); g.size > maxText && !g.request.Stream {
			return &Error{Status: http.StatusInternalServerError, Message: "the model's answer is too long to be sent at once"}
		}
		g.sequences[i].add(text)
	}
	for i, reason := range a.texts(outFinish) {
		// Of a sequence that has ended some servers say so in each answer after that.
		if goesOn := len(reason) == 0 || string(reason) == none; !goesOn && i < len(g.sequences) && len(reason) <= maxFinish {
			g.sequences[i].finish = string(reason)
		}
	}
	for i, list := range a.texts(outLogprobs) {
		if i < len(g.sequences) && g.request.logprobs {
			tokens, err := readTokens(list)
			if err != nil {
				return unreadable()
			}
			g.sequences[i].logprobs = append(g.sequences[i].logprobs, tokens...)
		}
	}
	g.input = max(g.input, a.number(outInputTokens))
	for _, n := range a.numbers(outOutputTokens) {
		g.output, g.counted = g.output+n, true
	}
	return nil
}

const (
	// maxFinish bounds the word for why a sequence ended, in bytes.
	maxFinish = 64
	// none is what Triton's backend says of a sequence that goes on: Python's None.
	none = "None"
)

// add appends text, less the beginning of a character whose end is to come: JSON
// can't carry a half one.
func (s *sequence) add(text []byte) {
	if len(s.cut) > 0 {
		text = append(s.cut, text...)
		s.cut = nil
	}
	whole := wholeCharacters(text)
	s.text = append(s.text, text[:whole]...)
	if whole < len(text) {
		s.cut = append(s.cut, text[whole:]...)
	}
}

// wholeCharacters is how much of text ends with a character.
func wholeCharacters(text []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		at := len(text) - back
		if utf8.RuneStart(text[at]) {
			if !utf8.FullRune(text[at:]) {
				return at
			}
			break
		}
	}
	return len(text)
}

// end gives out what was kept, and is why the sequence ended.
func (s *sequence) end() string {
	s.text = append(s.text, s.cut...)
	s.cut = nil
	return cmp.Or(s.finish, "stop")
}

// usage are the numbers of tokens; nil where the model does not count.
func (g *Generation) usage() *usage {
	if !g.counted {
		return nil
	}
	return &usage{Prompt: g.input, Completion: g.output, Total: g.input + g.output}
}

type usage struct {
	Prompt     uint32 `json:"prompt_tokens"`
	Completion uint32 `json:"completion_tokens"`
	Total      uint32 `json:"total_tokens"`
}
