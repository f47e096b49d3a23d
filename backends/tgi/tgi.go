// Package tgi speaks the routes of Hugging Face's text-generation-inference
// (/generate, /generate_stream, /info, /health) for package generate.
//
// The traps that it closes are those of protocol/tgi.md (TGI 3.3.6): defaults
// that change with the presence of "parameters", values that mean "off"
// elsewhere and are refused there, errors within a stream of status 200, special
// tokens' text, stop strings that stay in the text. Conversations are not
// spoken; TGI serves those on OpenAI's routes, for a backend of type openai.
package tgi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/generate"
)

// Options says how a server is spoken to.
type Options struct {
	Client *generate.Client
	// Model is the name of the server's model; "" is what /info calls it.
	Model string
	// Adapters are the LoRA adapters that the server was started with: it does
	// not tell.
	Adapters []string
}

// Server is one TGI. It is safe for concurrent use.
type Server struct{ o Options }

var _ generate.Server = (*Server)(nil)

// New makes a server; it connects to nothing yet.
func New(o Options) *Server { return &Server{o} }

// Close closes idle connections.
func (s *Server) Close() { s.o.Client.Close() }

// Generate asks for a stream where one is wanted, and for the whole otherwise.
// The number of a prompt's tokens stands in a stream's end alone, so that who
// wants it gets the whole out of a stream.
func (s *Server) Generate(ctx context.Context, r *generate.Request, emit func(generate.Chunk) error) error {
	body, refused := s.body(r)
	if refused != nil {
		return refused
	}
	if r.Stream || r.Tokens {
		return s.stream(ctx, r, body, emit)
	}
	return s.whole(ctx, r, body, emit)
}

// token is one that the server made.
type token struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
	// Logprob is null, and 0 here, where the server has none.
	Logprob float64 `json:"logprob"`
	Special bool    `json:"special"`
}

// event is one event of a stream: a token's, or an error.
type event struct {
	Token     *token  `json:"token"`
	TopTokens []token `json:"top_tokens"`
	// GeneratedText is there in the last one.
	GeneratedText *string  `json:"generated_text"`
	Details       *details `json:"details"`
	Error         string   `json:"error"`
	Type          string   `json:"error_type"`
}

// details are what is asked for with "details": true. A stream's end and the
// answer to /generate have different ones; these are both.
type details struct {
	FinishReason    string    `json:"finish_reason"`
	GeneratedTokens int       `json:"generated_tokens"`
	InputLength     int       `json:"input_length"`
	Tokens          []token   `json:"tokens"`
	TopTokens       [][]token `json:"top_tokens"`
}

// finishes are TGI's reasons in vLLM's words.
var finishes = map[string]string{"length": "length", "eos_token": "stop", stopSequence: "stop"}

const stopSequence = "stop_sequence"

// errNoDetails is an end that does not say why it is one.
var errNoDetails = errors.New("the end comes without its details")

func (d *details) finish() (string, error) {
	if d == nil {
		return "", generate.Garbage(errNoDetails)
	}
	reason, known := finishes[d.FinishReason]
	if !known {
		return "", generate.Garbage(fmt.Errorf("unknown finish reason %.40q", d.FinishReason))
	}
	return reason, nil
}

func (s *Server) stream(ctx context.Context, r *generate.Request, body any, emit func(generate.Chunk) error) error {
	events, err := s.o.Client.Stream(ctx, "/generate_stream", body)
	if err != nil {
		return err
	}
	defer events.Close()
	tail := newTail(r.Parameters)
	for {
		e, err := next(events)
		if err != nil {
			return err
		}
		chunk, last, err := e.chunk(tail, r.Logprob || asks(r, "logprobs"))
		if err != nil {
			return err
		}
		if err := emit(chunk); err != nil {
			return err
		}
		if last {
			events.Done()
			return nil
		}
	}
}

// next reads one event. A stream has its end in an event; that of its body
// before is an answer that was broken off.
func next(events *generate.EventStream) (*event, error) {
	data, err := events.Next()
	if errors.Is(err, io.EOF) {
		return nil, generate.Truncated(io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, err
	}
	e := new(event)
	switch err := json.Unmarshal(data, e); {
	case err != nil:
		return nil, generate.Garbage(err)
	case e.Error != "":
		return nil, generate.Failure(statuses[e.Type], e.Error)
	case e.Token == nil:
		return nil, generate.Garbage(errNoToken)
	}
	return e, nil
}

var errNoToken = errors.New("an event has neither a token nor an error")

// statuses are those that TGI has for its kinds of errors where it can still
// choose one.
var statuses = map[string]int{
	"validation": http.StatusUnprocessableEntity, "template_error": http.StatusUnprocessableEntity,
	"missing_template_variable": http.StatusUnprocessableEntity, "tool_error": http.StatusUnprocessableEntity,
	"generation": http.StatusFailedDependency, "overloaded": http.StatusTooManyRequests, "healthcheck": http.StatusServiceUnavailable,
}

// chunk makes the chunk of one event. The text of special tokens is none of the
// generated text.
func (e *event) chunk(t *tail, logprobs bool) (c generate.Chunk, last bool, err error) {
	text := e.Token.Text
	if e.Token.Special {
		text = ""
	}
	c.Tokens = 1
	if logprobs {
		c.Logprobs = []generate.TokenLogprobs{logprobsOf(*e.Token, e.TopTokens)}
	}
	if e.GeneratedText == nil {
		c.Text = t.add(text)
		return c, false, nil
	}
	if c.Finish, err = e.Details.finish(); err != nil {
		return c, true, err
	}
	c.Text = t.end(text, e.Details.FinishReason)
	c.Usage = generate.Usage{Input: e.Details.InputLength, Output: e.Details.GeneratedTokens}
	return c, true, nil
}

// logprobsOf are the chosen token, and the likeliest ones where they were asked for.
func logprobsOf(chosen token, top []token) generate.TokenLogprobs {
	all := generate.TokenLogprobs{{ID: chosen.ID, Token: chosen.Text, Value: chosen.Logprob}}
	for _, t := range top {
		all = append(all, generate.Logprob{ID: t.ID, Token: t.Text, Value: t.Logprob})
	}
	return all
}

func (s *Server) whole(ctx context.Context, r *generate.Request, body any, emit func(generate.Chunk) error) error {
	var answer struct {
		GeneratedText *string  `json:"generated_text"`
		Details       *details `json:"details"`
	}
	if err := s.o.Client.Infer(ctx, "/generate", body, &answer); err != nil {
		return err
	}
	finish, err := answer.Details.finish()
	if err != nil {
		return err
	}
	if answer.GeneratedText == nil {
		return generate.Garbage(errors.New("the answer has no generated_text"))
	}
	c := generate.Chunk{Text: newTail(r.Parameters).end(*answer.GeneratedText, answer.Details.FinishReason), Finish: finish}
	c.Usage.Output = answer.Details.GeneratedTokens
	if r.Logprob || asks(r, "logprobs") {
		for i, t := range answer.Details.Tokens {
			var top []token
			if i < len(answer.Details.TopTokens) {
				top = answer.Details.TopTokens[i]
			}
			c.Logprobs = append(c.Logprobs, logprobsOf(t, top))
		}
	}
	return emit(c)
}

// info is what is read of /info.
type info struct {
	ModelID string `json:"model_id"`
	Version string `json:"version"`
}

func (s *Server) info(ctx context.Context) (i info, err error) {
	err = s.o.Client.Call(ctx, http.MethodGet, "/info", nil, &i)
	if err == nil && i.ModelID == "" {
		err = generate.Garbage(errors.New("/info has no model_id"))
	}
	return i, err
}

// Models is the one model, and the configured adapters.
func (s *Server) Models(ctx context.Context) ([]generate.Model, error) {
	i, err := s.info(ctx)
	if err != nil {
		return nil, err
	}
	base := s.o.Model
	if base == "" {
		base = i.ModelID
	}
	models := []generate.Model{{Name: base}}
	for _, name := range s.o.Adapters {
		models = append(models, generate.Model{Name: name, Parent: base})
	}
	return models, nil
}

// Ready asks /health, which after a failed generation generates a token.
func (s *Server) Ready(ctx context.Context) error {
	return s.o.Client.Call(ctx, http.MethodGet, "/health", nil, nil)
}

// Version is the router's.
func (s *Server) Version(ctx context.Context) (string, error) {
	i, err := s.info(ctx)
	return i.Version, err
}

// adapter tells whether a model is one of the adapters.
func (s *Server) adapter(model string) bool { return slices.Contains(s.o.Adapters, model) }

var errMessages = &access.Error{
	Kind: access.Unimplemented, Reason: access.ReasonUnsupported,
	Message: "this model's server takes no conversation in 'messages' here; put it into 'text_input' by the model's own template",
}
