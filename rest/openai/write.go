package openai

import (
	"encoding/json"
	"unicode/utf8"
)

// answer is the body of an answer, or an event of one.
type answer struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   any      `json:"usage,omitempty"`
}

// choice is a sequence, or a piece of one. Of text, message and delta the route and
// the way of answering have one.
type choice struct {
	Index    int     `json:"index"`
	Text     *string `json:"text,omitempty"`
	Message  *said   `json:"message,omitempty"`
	Delta    *said   `json:"delta,omitempty"`
	Logprobs any     `json:"logprobs"`
	Finish   *string `json:"finish_reason"`
}

type said struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

// null is a member that is there and has no value.
var null = json.RawMessage("null")

func (g *Generation) answer(object string, choices ...choice) answer {
	if choices == nil {
		choices = []choice{}
	}
	return answer{ID: g.id, Object: object, Created: g.created, Model: g.request.Model, Choices: choices}
}

// Whole is the body of an answer that does not come in events.
func (g *Generation) Whole() ([]byte, *Error) {
	if len(g.sequences) == 0 {
		return nil, unreadable()
	}
	choices := make([]choice, len(g.sequences))
	for i := range g.sequences {
		finish := g.sequences[i].end()
		text, logprobs := g.tell(i)
		choices[i] = choice{Index: i, Logprobs: logprobs, Finish: &finish}
		if g.request.Route == Chat {
			choices[i].Message = &said{"assistant", &text}
		} else {
			choices[i].Text = &text
		}
	}
	a := g.answer("text_completion", choices...)
	if g.request.Route == Chat {
		a.Object = "chat.completion"
	}
	if u := g.usage(); u != nil {
		a.Usage = u
	}
	return encode(a), nil
}

// Events are the data of the events for what has come since they were asked for.
func (g *Generation) Events() (events [][]byte) {
	for i := range g.sequences {
		s := &g.sequences[i]
		if !s.begun && g.request.Route == Chat {
			empty := ""
			events = append(events, g.event(choice{Index: i, Delta: &said{"assistant", &empty}, Logprobs: null}))
		}
		s.begun = true
		if len(s.text) == 0 && len(s.logprobs) == 0 {
			continue
		}
		events = append(events, g.event(g.piece(i)))
	}
	return events
}

// End are the data of the last events: what was held back, why each sequence ended
// and, if it was asked for, the numbers of tokens. The error is an answer without
// any text.
func (g *Generation) End() (events [][]byte, wrong *Error) {
	if len(g.sequences) == 0 {
		return nil, unreadable()
	}
	for i := range g.sequences {
		finish := g.sequences[i].end()
		last := g.piece(i)
		last.Finish = &finish
		if last.Delta != nil && *last.Delta.Content == "" {
			last.Delta.Content = nil
		}
		events = append(events, g.event(last))
	}
	if g.request.IncludeUsage {
		a := g.answer(g.object())
		a.Usage = null
		if u := g.usage(); u != nil {
			a.Usage = u
		}
		events = append(events, encode(a))
	}
	return events, nil
}

// piece is what has come of a sequence.
func (g *Generation) piece(i int) choice {
	text, logprobs := g.tell(i)
	c := choice{Index: i, Logprobs: logprobs}
	if g.request.Route == Chat {
		c.Delta = &said{Content: &text}
	} else {
		c.Text = &text
	}
	return c
}

// object is what an event is called.
func (g *Generation) object() string {
	if g.request.Route == Chat {
		return "chat.completion.chunk"
	}
	return "text_completion"
}

// event is one event; where numbers of tokens come at the end, each event before
// says that it has none.
func (g *Generation) event(c choice) []byte {
	a := g.answer(g.object(), c)
	if g.request.IncludeUsage {
		a.Usage = null
	}
	return encode(a)
}

// tell takes from a sequence what has come.
func (g *Generation) tell(i int) (text string, logprobs any) {
	s := &g.sequences[i]
	text, logprobs = string(s.text), null
	switch {
	case !g.request.logprobs:
	case g.request.Route == Chat:
		logprobs = chatLogprobs(s.logprobs, g.request.top)
	default:
		logprobs = completionLogprobs(s.logprobs, g.request.top, s.offset)
	}
	s.offset += utf8.RuneCount(s.text)
	s.text, s.logprobs = s.text[:0], nil
	return text, logprobs
}
