package generate

import (
	"context"
	"errors"
	"fmt"
)

// tokenSize is about what one token's log probabilities need, in bytes.
const tokenSize = 256

// errAfterEnd is a chunk of a sequence that had ended.
var errAfterEnd = errors.New("a sequence went on after its end")

// generation turns the chunks of one request into answers.
//
// The answer to which the last sequence's end belongs waits for the server to
// say that all is there: it is the final one, and has the numbers of tokens that
// most servers tell last. Everything before goes out as it comes.
type generation struct {
	job    *job
	enc    *encoder
	send   func(answer []byte) error
	step   step
	usage  Usage
	counts int      // output tokens counted so far
	ended  int      // sequences
	whole  [][]byte // the text of each sequence, where it is not streamed
	size   int      // bytes of it
}

func newGeneration(j *job, enc *encoder, send func([]byte) error) *generation {
	n := j.N
	g := &generation{job: j, enc: enc, send: send, step: step{
		texts: make([]string, n), finish: make([]string, n), cumulative: make([]float64, n), logprobs: make([][]byte, n), output: make([]uint32, n),
	}}
	if !j.Stream {
		g.whole = make([][]byte, n)
		for i := range g.whole {
			g.whole[i] = append(g.whole[i], j.prompt...)
		}
	}
	return g
}

// run generates, and sends the answers. An error is the request's.
func (g *generation) run(ctx context.Context, s Server) error {
	if err := s.Generate(ctx, &g.job.Request, g.emit); err != nil {
		return err
	}
	if g.ended < g.job.N {
		return Truncated(fmt.Errorf("%d of %d sequences have ended", g.ended, g.job.N))
	}
	for i, text := range g.whole {
		g.step.texts[i] = string(text)
	}
	return g.send(g.enc.answer(&g.step, true))
}

// emit takes one chunk in, and sends what is ready.
func (g *generation) emit(c Chunk) error {
	if c.Index < 0 || c.Index >= g.job.N {
		return Garbage(fmt.Errorf("there is no sequence %d among %d", c.Index, g.job.N))
	}
	g.count(&c)
	if c.Text == "" && c.Finish == "" && len(c.Logprobs) == 0 {
		return nil
	}
	if g.step.finish[c.Index] != "" {
		return Garbage(errAfterEnd)
	}
	if g.job.Stream {
		g.step.texts[c.Index] = c.Text
	} else if err := g.gather(&c); err != nil {
		return err
	}
	g.logprobs(&c)
	if c.Finish != "" {
		g.step.finish[c.Index] = c.Finish
		g.ended++
	}
	if !g.job.Stream || g.ended == g.job.N {
		return nil
	}
	err := g.send(g.enc.answer(&g.step, false))
	g.step.texts[c.Index] = ""
	clear(g.step.logprobs)
	clear(g.step.output)
	return err
}

// gather keeps the text of a request that is answered once.
func (g *generation) gather(c *Chunk) error {
	if g.size += len(c.Text) + tokenSize*len(c.Logprobs); g.size > maxAnswer {
		return Garbage(fmt.Errorf("the answer is over %d bytes", maxAnswer))
	}
	g.whole[c.Index] = append(g.whole[c.Index], c.Text...)
	return nil
}

// logprobs takes in the new tokens' log probabilities.
func (g *generation) logprobs(c *Chunk) {
	if len(c.Logprobs) == 0 {
		return
	}
	for _, token := range c.Logprobs {
		g.step.cumulative[c.Index] += token[0].Value
	}
	if g.job.sampling.Logprobs {
		g.step.logprobs[c.Index] = appendLogprobs(g.step.logprobs[c.Index], c.Logprobs)
	}
}

// count attributes the tokens that are new. Where the server tells the numbers
// last, each chunk is taken for one token, and the last answer has the rest.
func (g *generation) count(c *Chunk) {
	if c.Usage.Input > 0 {
		g.usage.Input = c.Usage.Input
		g.step.input = uint32(c.Usage.Input) //nolint:gosec // a number of tokens
	}
	n := c.Tokens
	switch {
	case c.Usage.Output > 0:
		g.usage.Output = c.Usage.Output
		n = max(0, c.Usage.Output-g.counts)
	case n == 0 && g.job.Stream && c.Text != "":
		n = 1
	}
	g.counts += n
	g.step.output[c.Index] += uint32(n) //nolint:gosec // not negative
}
