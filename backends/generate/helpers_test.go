package generate_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/generate"
)

func TestMain(m *testing.M) { backendstest.Main(m) }

// server is a double: what is not set says one word, and has the models "m" and
// its adapter "a".
type server struct {
	GenerateFunc func(ctx context.Context, r *generate.Request, emit func(generate.Chunk) error) error
	ModelsFunc   func(ctx context.Context) ([]generate.Model, error)
	ReadyFunc    func(ctx context.Context) error
	VersionFunc  func(ctx context.Context) (string, error)
}

var _ generate.Server = (*server)(nil)

func (s *server) Generate(ctx context.Context, r *generate.Request, emit func(generate.Chunk) error) error {
	if s.GenerateFunc != nil {
		return s.GenerateFunc(ctx, r, emit)
	}
	for i := range r.N {
		if err := emit(generate.Chunk{Index: i, Text: "word", Finish: "stop"}); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) Models(ctx context.Context) ([]generate.Model, error) {
	if s.ModelsFunc != nil {
		return s.ModelsFunc(ctx)
	}
	return []generate.Model{{Name: "m"}, {Name: "a", Parent: "m"}, {Name: "other"}, {Name: "b", Parent: "other"}}, nil
}

func (s *server) Ready(ctx context.Context) error {
	if s.ReadyFunc != nil {
		return s.ReadyFunc(ctx)
	}
	return nil
}

func (s *server) Version(ctx context.Context) (string, error) {
	if s.VersionFunc != nil {
		return s.VersionFunc(ctx)
	}
	return "1.2.3", nil
}

// loading is a server that loads adapters too, and embeds.
type loading struct {
	server
	LoadFunc   func(name, path string, again bool) error
	UnloadFunc func(name string) error
	EmbedFunc  func(r *generate.EmbedRequest) (*generate.Embedding, error)
}

var (
	_ generate.Adapters = (*loading)(nil)
	_ generate.Embedder = (*loading)(nil)
)

func (s *loading) Load(_ context.Context, name, path string, again bool) error {
	return s.LoadFunc(name, path, again)
}

func (s *loading) Unload(_ context.Context, name string) error { return s.UnloadFunc(name) }

func (s *loading) Embed(_ context.Context, r *generate.EmbedRequest) (*generate.Embedding, error) {
	return s.EmbedFunc(r)
}

// schema is a few parameters of each kind.
var schema = generate.Schema{
	"n":                  {Kind: generate.Int},
	"max_tokens":         {Kind: generate.Int},
	"temperature":        {Kind: generate.Float},
	"ignore_eos":         {Kind: generate.Bool},
	"user":               {Kind: generate.Text},
	"stop":               {Kind: generate.Texts},
	"stop_token_ids":     {Kind: generate.Ints},
	"logit_bias":         {Kind: generate.Biases},
	"logprobs":           {Kind: generate.Int},
	"structured_outputs": {Kind: generate.JSON},
	"repetition_penalty": {Kind: generate.Float, As: "repeat_penalty"},
	"lora_name":          {Kind: generate.ModelName},
	"adapter_id":         {Kind: generate.ModelName},
}

// open makes a backend of s.
func open(t testing.TB, s generate.Server, change ...func(*generate.Options)) *generate.Backend {
	t.Helper()
	o := generate.Options{Name: "b", Kind: "double", Server: s, Schema: schema}
	for _, c := range change {
		c(&o)
	}
	b := generate.New(o)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// outgoing are the names of what goes on with ctx.
func outgoing(ctx context.Context) []string {
	md, _ := metadata.FromOutgoingContext(ctx)
	return slices.Sorted(maps.Keys(md))
}
