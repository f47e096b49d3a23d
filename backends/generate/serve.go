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

const (
	// maxFrame bounds what of a request is not raw data, in bytes. Decoded, small
	// fields become many times what they were.
	maxFrame = 1 << 20
	// maxTensors bounds how many inputs, outputs and raw contents there are.
	maxTensors = 64
)

// decoupledText is what Triton answers to ModelInfer for a decoupled model.
const decoupledText = "ModelInfer RPC doesn't support models with decoupled transaction policy"

// accept reads a request, whatever it came as, and charges the account for it;
// whoever gets the job releases it. With an error, the job has only what is
// known by then of the request's id and model.
func (b *Backend) accept(from any, account *wire.Account) (*job, error) {
	j := new(job)
	if err := frame(from); err != nil {
		return j, err
	}
	req := new(inference.ModelInferRequest)
	size, err := receive(from, req)
	if err != nil {
		return j, err
	}
	j.id, j.model = req.GetId(), req.GetModelName()
	if refused := j.decode(b, req); refused != nil {
		return j, refused
	}
	if account != nil {
		if err := account.Acquire(copies * size); err != nil {
			return j, err
		}
		j.release = func() { account.Release(copies * size) }
	}
	return j, nil
}

// frame refuses what would cost far more to decode than to send.
func frame(from any) error {
	m, ok := from.(*wire.Message)
	if h, over := from.(wire.HandOver); over {
		m, ok = h.Message, true
	}
	if !ok {
		return nil
	}
	view, err := m.InferRequest()
	if err != nil {
		return err
	}
	if view.NumInputs() > maxTensors || view.NumOutputs() > maxTensors || view.NumRaw() > maxTensors {
		return malformed("a request has at most %d inputs, outputs and raw contents", maxTensors)
	}
	rest := m.Len()
	for raw := range view.Raw() {
		rest -= raw.Len()
	}
	if rest > maxFrame {
		return malformed("a request has %d bytes beside its raw contents, more than %d; send the data in raw_input_contents", rest, maxFrame)
	}
	return nil
}

// run answers a job. Its answers go to send, encoded for a stream or not; its
// error is the caller's to tell.
func (b *Backend) run(ctx context.Context, j *job, streams bool, send func([]byte) error) error {
	if !streams && (j.Stream || b.opts.StrictDecoupled && !b.opts.Embeds) {
		return unsupported(decoupledText)
	}
	if err := b.settle(ctx, j); err != nil {
		return err
	}
	began := time.Now()
	var err error
	if j.embed != nil {
		err = b.embed(ctx, j, newEncoder(j, streams, 1), send)
	} else {
		err = newGeneration(j, newEncoder(j, streams, j.N), send).run(ctx, b.opts.Server)
	}
	b.counts.add(j.Model, time.Since(began), err == nil)
	return err
}

// infer answers ModelInfer.
func (b *Backend) infer(ctx context.Context, from any) (any, error) {
	j, err := b.accept(from, wire.AccountFrom(ctx))
	if err != nil {
		return nil, err
	}
	defer j.free()
	var whole []byte
	err = b.run(ctx, j, false, func(answer []byte) error {
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
