package generate

import (
	"context"
	"time"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// copies is how often a request's bytes are held while it runs: decoded, and
// written for the server.
const copies = 2

// decoupledText is what Triton answers to ModelInfer for a decoupled model.
const decoupledText = "ModelInfer RPC doesn't support models with decoupled transaction policy"

// serve runs one request. Its answers go to send, encoded for a stream or not;
// its error is the caller's to tell.
func (b *Backend) serve(ctx context.Context, account *wire.Account, req *inference.ModelInferRequest, size int, streams bool, send func([]byte) error) error {
	if account != nil {
		if err := account.Acquire(copies * size); err != nil {
			return err
		}
		defer account.Release(copies * size)
	}
	j, refused := b.decode(req)
	if refused != nil {
		return refused
	}
	if !streams && (j.Stream || b.opts.StrictDecoupled && !b.opts.Embeds) {
		return unsupported(decoupledText)
	}
	if err := b.settle(ctx, j); err != nil {
		return err
	}
	began := time.Now()
	answers, err := 0, error(nil)
	counted := func(answer []byte) error {
		answers++
		return send(answer)
	}
	if j.embed != nil {
		err = b.embed(ctx, j, newEncoder(j, streams, 1), counted)
	} else {
		err = newGeneration(j, newEncoder(j, streams, j.N), counted).run(ctx, b.opts.Server)
	}
	b.counts.add(j.Model, time.Since(began), err == nil)
	return err
}

// infer answers ModelInfer.
func (b *Backend) infer(ctx context.Context, from any) (any, error) {
	req := new(inference.ModelInferRequest)
	size, err := receive(from, req)
	if err != nil {
		return nil, err
	}
	var whole []byte
	err = b.serve(ctx, wire.AccountFrom(ctx), req, size, false, func(answer []byte) error {
		whole = answer
		return nil
	})
	return whole, err
}

// embed answers with vectors.
func (b *Backend) embed(ctx context.Context, j *job, enc *encoder, send func([]byte) error) error {
	s, ok := b.opts.Server.(Embedder)
	if !ok {
		return unsupported("this model's server embeds no text")
	}
	j.embed.Model = j.Model
	e, err := s.Embed(ctx, j.embed)
	if err != nil {
		return err
	}
	st, err := vectorStep(e, max(1, len(j.embed.Texts)))
	if err != nil {
		return err
	}
	return send(enc.answer(st, true))
}
