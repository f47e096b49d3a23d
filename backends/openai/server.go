package openai

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"

	"github.com/sluice-gateway/sluice/backends/generate"
)

// Server is one server with OpenAI's routes.
type Server struct {
	client  *generate.Client
	dialect Dialect
}

var (
	_ generate.Server   = (*Server)(nil)
	_ generate.Embedder = (*Server)(nil)
)

// New returns the server that client reaches.
func New(client *generate.Client, dialect Dialect) *Server {
	return &Server{client: client, dialect: dialect}
}

// Close closes idle connections.
func (s *Server) Close() { s.client.Close() }

// Generate asks for a completion, or for a chat's where there are messages.
func (s *Server) Generate(ctx context.Context, r *generate.Request, emit func(generate.Chunk) error) error {
	path := "/v1/completions"
	if r.Messages != nil {
		path = "/v1/chat/completions"
	}
	// Only a stream tells which sequence a token belongs to.
	stream := r.Stream || r.Tokens && r.N > 1
	body := s.body(r, stream)
	if stream {
		return s.stream(ctx, path, body, r, emit)
	}
	var answer answer
	if err := s.client.Infer(ctx, path, body, &answer); err != nil {
		return err
	}
	return s.emit(&answer, new(counter), emit)
}

// body writes a request. What the parameters hold was checked against the
// dialect; the request's own fields come last, so that none of those can be
// among them.
func (s *Server) body(r *generate.Request, stream bool) map[string]any {
	body := maps.Clone(r.Parameters)
	if body == nil {
		body = make(map[string]any)
	}
	s.askLogprobs(body, r)
	body["model"] = r.Model
	if r.Messages != nil {
		body["messages"] = rawJSON(r.Messages)
		if s.dialect.NoReasoning {
			body["include_reasoning"] = false
		}
	} else {
		body["prompt"] = r.Prompt
	}
	body["stream"] = stream
	if !stream {
		return body
	}
	options := map[string]any{"include_usage": true}
	if s.dialect.CountsEach && r.Tokens {
		options["continuous_usage_stats"] = true
	}
	if s.dialect.Timings && r.Tokens {
		body["timings_per_token"] = true
	}
	body["stream_options"] = options
	return body
}

// askLogprobs asks for log probabilities as the route has them: a completion by
// number, a chat by a flag and a number.
func (s *Server) askLogprobs(body map[string]any, r *generate.Request) {
	n, asked := body["logprobs"].(int64)
	if !asked && !r.Logprob {
		return
	}
	if s.dialect.TokenIDs {
		body["return_token_ids"] = true
	}
	if r.Messages != nil {
		body["logprobs"] = true
		if n > 0 {
			body["top_logprobs"] = n
		}
		return
	}
	if n >= 0 {
		n = max(n, int64(s.dialect.LeastLogprobs))
	}
	body["logprobs"] = n
}

// stream reads a streamed answer to its good end.
func (s *Server) stream(ctx context.Context, path string, body any, r *generate.Request, emit func(generate.Chunk) error) error {
	events, err := s.client.Stream(ctx, path, body)
	if err != nil {
		return err
	}
	defer events.Close()
	var a answer
	numbers := &counter{on: s.dialect.Timings && r.Tokens}
	for {
		data, err := events.Next()
		switch {
		case errors.Is(err, io.EOF):
			return generate.Truncated(errNotDone)
		case err != nil:
			return err
		case string(data) == generate.Done:
			events.Done()
			return nil
		}
		if err := decode(data, &a); err != nil {
			return err
		}
		if err := s.emit(&a, numbers, emit); err != nil {
			return err
		}
	}
}

var errNotDone = errors.New("the stream ended without " + generate.Done)

// Embed asks for vectors.
func (s *Server) Embed(ctx context.Context, r *generate.EmbedRequest) (*generate.Embedding, error) {
	body := map[string]any{"model": r.Model, "encoding_format": "float", "input": r.Texts}
	n := len(r.Texts)
	if n == 0 {
		body["input"], n = r.Tokens, 1
	}
	if r.Dimensions != 0 {
		body["dimensions"] = r.Dimensions
	}
	var a struct {
		Data []struct {
			Index     int       `json:"index"`
			Embedding []float32 `json:"embedding"`
		} `json:"data"`
		Usage usage `json:"usage"`
	}
	if err := s.client.Infer(ctx, "/v1/embeddings", body, &a); err != nil {
		return nil, err
	}
	out := &generate.Embedding{Vectors: make([][]float32, n), Input: a.Usage.Prompt}
	for _, d := range a.Data {
		if d.Index < 0 || d.Index >= n || out.Vectors[d.Index] != nil {
			return nil, generate.Garbage(fmt.Errorf("embedding %d of %d", d.Index, n))
		}
		out.Vectors[d.Index] = d.Embedding
	}
	return out, nil
}

// Models lists what /v1/models has.
func (s *Server) Models(ctx context.Context) ([]generate.Model, error) {
	var list struct {
		Data []struct {
			ID     string  `json:"id"`
			Parent *string `json:"parent"`
		} `json:"data"`
	}
	if err := s.client.Call(ctx, http.MethodGet, "/v1/models", nil, &list); err != nil {
		return nil, err
	}
	models := make([]generate.Model, 0, len(list.Data))
	for _, m := range list.Data {
		if m.ID == "" {
			continue
		}
		model := generate.Model{Name: m.ID}
		if m.Parent != nil {
			model.Parent = *m.Parent
		}
		models = append(models, model)
	}
	return models, nil
}

// Ready asks the server's health, or for its models where it has no such route.
func (s *Server) Ready(ctx context.Context) error {
	path := s.dialect.Health
	if path == "" {
		path = "/v1/models"
	}
	return s.client.Call(ctx, http.MethodGet, path, nil, nil)
}

// Version is "": OpenAI's routes do not tell it.
func (s *Server) Version(context.Context) (string, error) { return "", nil }
