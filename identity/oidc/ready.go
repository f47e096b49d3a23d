package oidc

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/identity"
)

var errSilent = errors.New("the issuer has not answered yet")

// Ready waits for the keys that the token needs: for the first fetch, or for
// one more where the token names a key that is not known (OpenID Connect Core
// 1.0 section 10.1.1). No more than one such fetch begins in 10 s, nobody
// waits longer than 3 s, and where a fetch is not due nobody waits at all.
func (p *Provider) Ready(ctx context.Context, token *identity.Token) error {
	if !slices.Contains(p.cfg.Algorithms, token.Algorithm) {
		return identity.Invalid("its signature algorithm is not one that is taken from its issuer", nil)
	}
	r := p.ring.Load()
	if r == nil {
		if p.untried() {
			p.await(ctx, false)
		}
		if r = p.ring.Load(); r == nil {
			return p.away()
		}
	}
	if !p.now().Before(r.until) {
		return p.away()
	}
	if p.settled(r, token) {
		return nil
	}
	answered := p.await(ctx, true)
	if p.settled(p.ring.Load(), token) {
		return nil
	}
	if !answered || p.lastFailure() != nil {
		return p.away()
	}
	return unpublished()
}

func unpublished() error {
	return identity.Invalid("it is signed with a key that its issuer does not publish: get a new one, or try again in 10 s if it is new", nil)
}

func (p *Provider) settled(r *ring, token *identity.Token) bool {
	_, settled := r.candidates(token)
	return settled
}

// await waits for the fetch that is under way, and begins one if that is
// wanted and due. It returns false if it waited in vain.
func (p *Provider) await(ctx context.Context, begin bool) bool {
	round := p.join(begin)
	if round == nil {
		return true
	}
	defer p.leave()
	timer := time.NewTimer(askWait)
	defer timer.Stop()
	select {
	case <-round:
		return true
	case <-timer.C:
	case <-ctx.Done():
	case <-p.done:
	}
	return false
}

func (p *Provider) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting--
}

func (p *Provider) join(begin bool) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.round == nil && begin {
		p.request()
	}
	if p.round == nil || p.waiting >= maxWaiting {
		return nil
	}
	p.waiting++
	return p.round
}

// request makes the goroutine fetch now, if it has not done so lately; the
// caller holds the lock.
func (p *Provider) request() {
	if p.now().Sub(p.started) < askEvery {
		return
	}
	p.round = make(chan struct{})
	p.ask <- struct{}{} // has room: end emptied it, and round was nil since
}

// hint says that a signature fitted none of the keys, which happens when an
// issuer changes a key without changing its name. The fetch is for those who come
// later; nobody waits.
func (p *Provider) hint() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.round == nil {
		p.request()
	}
}

// untried tells whether no fetch has ended yet.
func (p *Provider) untried() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failure == nil
}

func (p *Provider) lastFailure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failure
}

func (p *Provider) away() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cause := p.failure
	if cause == nil {
		cause = errSilent
	}
	return identity.Away(p.cfg.Name, max(0, p.retry.Sub(p.now())), cause)
}
