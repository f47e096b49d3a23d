package pool

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
)

// few is up to how many replicas a choice needs no memory for.
const few = 32

// pick chooses the replica for a call: of two taken at random among the best
// placed, the one with less to do. Those in tried are left out. Where none is
// well placed it chooses among those that are there: a replica that may be dead
// is better than a refusal that is certain. It is nil where there is none left.
func (p *Pool) pick(model string, tried []*member) *member {
	var space [few]*member
	at := now()
	best := p.best(space[:0], model, tried, at)
	if len(best) == 0 {
		return nil
	}
	var room [few]*member
	if fit := unspared(room[:0], best, at); len(fit) > 0 {
		best = fit
	}
	if len(best) == 1 {
		return best[0]
	}
	i := rand.IntN(len(best))
	j := rand.IntN(len(best) - 1)
	if j >= i {
		j++
	}
	if best[j].outstanding.Load() < best[i].outstanding.Load() {
		i = j
	}
	return best[i]
}

// unspared appends those that take a call now.
func unspared(dst, all []*member, at int64) []*member {
	for _, m := range all {
		if !m.spared(at) {
			dst = append(dst, m)
		}
	}
	return dst
}

// best appends the replicas of the best rank that there is.
func (p *Pool) best(dst []*member, model string, tried []*member, at int64) []*member {
	lowest := int(^uint(0) >> 1)
	for _, m := range p.all() {
		if slices.Contains(tried, m) {
			continue
		}
		switch rank := m.rank(model, at); {
		case rank < lowest:
			lowest, dst = rank, append(dst[:0], m)
		case rank == lowest:
			dst = append(dst, m)
		}
	}
	return dst
}

// home is the replica where a sequence begins: by rendezvous hashing, so that
// gateways that see the same replicas agree, and a replica that goes moves no
// sequence but its own.
func (p *Pool) home(model, id string) *member {
	var found *member
	var highest [sha256.Size]byte
	for _, m := range p.best(nil, model, nil, now()) {
		h := sha256.New()
		for _, part := range []string{model, id, m.address} {
			h.Write([]byte(part))
			h.Write([]byte{0})
		}
		if sum := [sha256.Size]byte(h.Sum(nil)); found == nil || bytes.Compare(sum[:], highest[:]) > 0 {
			found, highest = m, sum
		}
	}
	return found
}
