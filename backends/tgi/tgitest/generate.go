package tgitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// token is one that was made.
type token struct {
	ID      int     `json:"id"`
	Text    string  `json:"text"`
	Logprob float64 `json:"logprob"`
	Special bool    `json:"special"`
}

// The end token, and its number; others are numbered from firstID on.
const (
	endText = "</s>"
	endID   = 2
	firstID = 45
	logprob = -0.5
)

// streamDetails are those of the last event of a stream.
type streamDetails struct {
	FinishReason    string `json:"finish_reason"`
	GeneratedTokens int    `json:"generated_tokens"`
	Seed            *int64 `json:"seed"`
	InputLength     int    `json:"input_length"`
}

// event is one token's.
type event struct {
	Index         int            `json:"index"`
	Token         token          `json:"token"`
	TopTokens     []token        `json:"top_tokens,omitempty"`
	GeneratedText *string        `json:"generated_text"`
	Details       *streamDetails `json:"details"`
}

type details struct {
	FinishReason    string     `json:"finish_reason"`
	GeneratedTokens int        `json:"generated_tokens"`
	Seed            *int64     `json:"seed"`
	Prefill         []struct{} `json:"prefill"`
	Tokens          []token    `json:"tokens"`
	TopTokens       [][]token  `json:"top_tokens,omitempty"`
}

// answer is that of /generate.
type answer struct {
	GeneratedText string   `json:"generated_text"`
	Details       *details `json:"details,omitempty"`
}

// failure is an error in TGI's words.
type failure struct {
	status int
	Error  string `json:"error"`
	Type   string `json:"error_type"`
}

func (f *failure) write(w http.ResponseWriter) { write(w, f.status, f) }

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encode(v))
}

// encode writes JSON as serde does: no escapes for HTML.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Appendf(nil, `{"error":%q,"error_type":"stream_serialization_error"}`, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// step is one token and, with the last, why there are no more.
type step struct {
	token  token
	finish string
	err    *failure
}

// steps makes the tokens one by one, until yield returns false.
func (g *generation) steps(yield func(step) bool) {
	o, text := g.server.options, ""
	endless := o.Endless != "" && strings.HasSuffix(*g.Inputs, o.Endless)
	for i := range g.limit() {
		t := token{ID: endID, Text: endText, Logprob: logprob, Special: true}
		switch {
		case endless:
			n := i % len(o.Ticks)
			t = token{ID: firstID + len(o.Tokens) + n, Text: o.Ticks[n], Logprob: logprob}
		case i < len(o.Tokens):
			t = token{ID: firstID + i, Text: o.Tokens[i], Logprob: logprob}
		}
		text += t.Text
		s := step{token: t}
		switch {
		case o.FailAfter > 0 && i == o.FailAfter:
			s.err = generationFailed("CUDA out of memory")
		case t.Special:
			s.finish = "eos_token"
		case g.stopped(text):
			s.finish = "stop_sequence"
		case i+1 == g.limit():
			s.finish = "length"
		}
		if !yield(s) || s.finish != "" || s.err != nil {
			return
		}
	}
}

// sleep waits for the next token, and tells whether the client is still there.
func (g *generation) sleep(r *http.Request) bool {
	if g.server.options.Delay == 0 {
		return r.Context().Err() == nil
	}
	timer := time.NewTimer(g.server.options.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (g *generation) top(t token) []token {
	n := deref(g.Parameters.TopNTokens)
	if n == 0 {
		return nil
	}
	all := []token{t}
	for i := 1; i < int(n); i++ {
		all = append(all, token{ID: 1000 + i, Text: fmt.Sprintf("other%d", i), Logprob: logprob - float64(i)})
	}
	return all
}

// whole is the generated text, behind the prompt if that is wanted.
func (g *generation) whole(text string) string {
	if deref(g.Parameters.ReturnFullText) {
		return *g.Inputs + text
	}
	return text
}

func (s *Server) generate(w http.ResponseWriter, r *http.Request, g *generation) {
	if f := g.validate(false); f != nil {
		f.write(w)
		return
	}
	if f := s.admit(); f != nil {
		f.write(w)
		return
	}
	how := "dropped"
	defer func() { s.leave(how) }()
	d := details{Prefill: []struct{}{}, Tokens: []token{}}
	text := ""
	for st := range g.steps {
		if !g.sleep(r) {
			return
		}
		if st.err != nil {
			how = "generation"
			st.err.write(w)
			return
		}
		d.Tokens, d.FinishReason = append(d.Tokens, st.token), st.finish
		if top := g.top(st.token); top != nil {
			d.TopTokens = append(d.TopTokens, top)
		}
		if !st.token.Special {
			text += st.token.Text
		}
	}
	how, d.GeneratedTokens = "success", len(d.Tokens)
	g.headers(w.Header(), d.GeneratedTokens)
	a := answer{GeneratedText: g.whole(text)}
	if g.Parameters.Details || g.Parameters.DecoderInputDetails {
		a.Details = &d
	}
	write(w, http.StatusOK, a)
}

// headers are those of /generate; the times are made up.
func (g *generation) headers(h http.Header, generated int) {
	for name, value := range map[string]string{
		"x-compute-type": "gpu+optimized", "x-compute-time": "0.001", "x-compute-characters": strconv.Itoa(g.input()),
		"x-total-time": "1", "x-validation-time": "0", "x-queue-time": "0", "x-inference-time": "1", "x-time-per-token": "0",
		"x-prompt-tokens": strconv.Itoa(g.input()), "x-generated-tokens": strconv.Itoa(generated),
	} {
		h.Set(name, value)
	}
}

// generateStream answers 200 whatever comes: errors are events.
func (s *Server) generateStream(w http.ResponseWriter, r *http.Request, g *generation) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Compute-Type", "gpu+optimized")
	h.Set("X-Compute-Characters", strconv.Itoa(g.input()))
	flush := http.NewResponseController(w).Flush
	if err := flush(); err != nil {
		return
	}
	f := g.validate(true)
	if f == nil {
		f = s.admit()
	}
	if f != nil {
		s.event(w, f)
		return
	}
	how := "dropped"
	defer func() { s.leave(how) }()
	index, text := 0, ""
	for st := range g.steps {
		if !g.sleep(r) {
			return
		}
		if st.err != nil {
			how = "generation"
			s.event(w, st.err)
			return
		}
		if !st.token.Special {
			text += st.token.Text
		}
		index++
		if n := s.options.Comments; n > 0 && index%n == 0 {
			_, _ = io.WriteString(w, ":\n\n")
		}
		s.event(w, g.event(index, st, text))
		if flush() != nil {
			return
		}
	}
	how = "success"
}

func (g *generation) event(index int, st step, text string) event {
	e := event{Index: index, Token: st.token, TopTokens: g.top(st.token)}
	if st.finish == "" {
		return e
	}
	text = g.whole(text)
	e.GeneratedText = &text
	if g.Parameters.Details {
		e.Details = &streamDetails{FinishReason: st.finish, GeneratedTokens: index, InputLength: g.input()}
	}
	return e
}

func (s *Server) event(w io.Writer, v any) {
	prefix := "data: "
	if s.options.Tight {
		prefix = "data:"
	}
	_, _ = fmt.Fprintf(w, "%s%s\n\n", prefix, encode(v))
}
