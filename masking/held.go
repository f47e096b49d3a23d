package masking

import (
	"context"
	"runtime"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// chargedFrom is how many bytes a request's texts may hold before they are
// charged: what is held back is mostly less than that, and bounded by the number
// of requests.
const chargedFrom = 16 << 10

// held is what the texts of one request hold of a principal's budget.
type held struct {
	account *wire.Account
	n       int
}

// charge makes the account of ctx hold what s holds, from chargedFrom on. It is
// given back at the end of the texts, or with the garbage where a request has none.
func (s *Answers) charge(ctx context.Context) *access.Error {
	n := s.size()
	if n < chargedFrom {
		n = 0
	}
	if s.held == nil {
		account := wire.AccountFrom(ctx)
		if n == 0 || account == nil {
			return nil
		}
		s.held = &held{account: account}
		runtime.AddCleanup(s, (*held).release, s.held)
	}
	if more := n - s.held.n; more > 0 {
		if err := s.held.account.Acquire(more); err != nil {
			return exhausted(err)
		}
	} else {
		s.held.account.Release(-more)
	}
	s.held.n = n
	return nil
}

// release gives back all of it.
func (h *held) release() {
	h.account.Release(h.n)
	h.n = 0
}

// size is how many bytes the texts hold, about.
func (s *Answers) size() (n int) {
	for _, one := range s.tensors {
		for _, x := range one.texts {
			if x == nil {
				continue
			}
			n += len(x.tail)
			if x.masker.ask != nil {
				n += len(x.masker.ask.held)
			}
		}
	}
	return n
}
