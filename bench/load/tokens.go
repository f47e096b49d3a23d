package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sluice-gateway/sluice/bench/kserve"
)

// tokens is the operation of one stream, from its request to its end. Of mode
// First it records how long the caller waited for the first token, of others how
// late each token was.
func (m *measurement) tokens(d door) operation {
	return func(ctx context.Context, caller int, r *recorder) error {
		began := time.Now()
		s, err := d.open(ctx, caller, m.Ask)
		if err == nil {
			err = s.last()
		}
		if err != nil {
			return err
		}
		for n := 0; ; n++ {
			due, err := s.next()
			if errors.Is(err, io.EOF) && n == m.Ask.Tokens {
				return nil
			}
			if err != nil {
				return fmt.Errorf("after %d tokens: %w", n, err)
			}
			switch {
			case !m.phase.is(measuring):
			case m.Mode != First:
				r.token(time.Since(due))
			case n == 0:
				r.latency.Record(time.Since(began))
			}
		}
	}
}

// oneToken has one token of the model come through d, and then the end.
func oneToken(ctx context.Context, d door, model string) error {
	m := &measurement{Spec: Spec{Ask: kserve.Ask{Model: model, Tokens: 1}}}
	return m.tokens(d)(ctx, 0, new(recorder))
}
