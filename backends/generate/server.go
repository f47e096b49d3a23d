package generate

import (
	"context"
)

// Server speaks to one server's own routes. It is safe for concurrent use; its
// calls end when their context does, and leave no request running behind them.
//
// Errors of what the server said are made by [Client] (a gRPC status with the
// server's text); those of a server that is away are *access.Error. An error of
// emit is returned as it is.
type Server interface {
	// Generate runs r and hands what comes to emit, in order, as it comes. It
	// returns nil only when the server has said that all of it is there: every
	// sequence had a chunk with its Finish. What was cut off is an error.
	Generate(ctx context.Context, r *Request, emit func(Chunk) error) error
	// Models lists what the server can be asked for now, adapters among them.
	Models(ctx context.Context) ([]Model, error)
	// Ready is nil where the server says that it is ready to generate.
	Ready(ctx context.Context) error
	// Version is the server's own version, "" if it does not tell.
	Version(ctx context.Context) (string, error)
}

// Embedder is a [Server] that embeds text.
type Embedder interface {
	// Embed returns one vector for each text, in their order.
	Embed(ctx context.Context, r *EmbedRequest) (*Embedding, error)
}

// Adapters is a [Server] that loads and unloads adapters while it runs.
type Adapters interface {
	// Load loads the adapter that lies at path on the server's own disk. With
	// again, it takes the place of the one loaded under that name.
	Load(ctx context.Context, name, path string, again bool) error
	// Unload unloads it. To unload one that is not loaded is no error.
	Unload(ctx context.Context, name string) error
}

// Model is one name that a server answers to.
type Model struct {
	Name string
	// Parent is the model that an adapter belongs to; "" for a base model.
	Parent string
}

// Request is one request, checked.
type Request struct {
	// Model is what the server is to be asked for: the request's model, or the
	// adapter that its parameters named and that was authorised.
	Model string
	// Prompt is the text to go on from, unless Messages is set.
	Prompt string
	// Messages is the conversation, a JSON array written by Sluice.
	Messages []byte
	// Stream: chunks are wanted as they are made. Without it the whole may come
	// as one chunk for each sequence.
	Stream bool
	// N is how many sequences are wanted, at least 1; it is in Parameters too
	// where the caller set it.
	N int
	// Parameters are the sampling parameters under the server's names, of the
	// types that their [Kind] says.
	Parameters map[string]any
	// Tokens: the numbers of tokens are wanted.
	Tokens bool
	// Logprob: the log probabilities of the chosen tokens are wanted, whether
	// Parameters ask for them or not.
	Logprob bool
}

// Chunk is what one step of a generation brought for one sequence. An empty
// one that only brings Usage is fine: it makes no answer by itself.
type Chunk struct {
	// Index is the sequence, from 0.
	Index int
	// Text is new text.
	Text string
	// Finish is why the sequence ended, in vLLM's words ("stop", "length",
	// "abort"); "" while it has not.
	Finish string
	// Logprobs are those of the new tokens, nil if there are none.
	Logprobs []TokenLogprobs
	// Usage is what the server counted so far, of all sequences.
	Usage Usage
	// Tokens is how many tokens Text has, where the server tells for each chunk;
	// 0 means that it doesn't.
	Tokens int
}

// Usage is numbers of tokens, of the whole request. A zero is a number that the
// server has not told yet.
type Usage struct{ Input, Output int }

// TokenLogprobs is one token's place: the token that was chosen, first, and
// others that might have been.
type TokenLogprobs []Logprob

// Logprob is one token and its log probability.
type Logprob struct {
	// ID is the token's number, -1 where the server does not tell.
	ID    int
	Token string
	Value float64
}

// EmbedRequest asks for vectors.
type EmbedRequest struct {
	Model string
	// Texts or, if there are none, Tokens are what to embed.
	Texts  []string
	Tokens []int64
	// Dimensions cuts the vectors short; 0 leaves them as the model makes them.
	Dimensions int64
}

// Embedding is the vectors, all of one length, and how many tokens went in.
type Embedding struct {
	Vectors [][]float32
	Input   int
}
