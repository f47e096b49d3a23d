package pool

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
)

// gate lets so many calls in at once. Those that wait get their turn by caller in
// rotation, so that one who sends a thousand delays nobody else's one, and nobody
// has all places: who keeps streams open keeps none of the others out.
type gate struct {
	cfg backends.LimitsConfig

	mu      sync.Mutex
	inside  int
	having  map[string]int // how many of those each caller has
	waiting int
	queues  map[string][]*waiter
	turns   []string // the callers that wait, the next one first
	refused int64
}

// waiter is one call that waits. in is guarded by the gate's mu.
type waiter struct {
	turn chan struct{}
	in   bool
}

// newGate returns nil where there is no limit.
func newGate(cfg backends.LimitsConfig) *gate {
	if cfg.Concurrency == 0 {
		return nil
	}
	if cfg.PerPrincipal == 0 {
		cfg.PerPrincipal = (cfg.Concurrency + 1) / 2
	}
	return &gate{cfg: cfg, having: make(map[string]int), queues: make(map[string][]*waiter)}
}

// enter waits for a place, which leave gives back. The error is an Exhausted
// [access.Error], or the context's.
func (g *gate) enter(ctx context.Context, who string) error {
	w, err := g.join(who)
	if w == nil {
		return err
	}
	timer := time.NewTimer(g.cfg.Wait)
	defer timer.Stop()
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = g.full(fmt.Sprintf("no place came free at the model's server within %v", g.cfg.Wait))
	}
	g.quit(who, w)
	return err
}

// join takes a place at once, or one in the queue.
func (g *gate) join(who string) (*waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside < g.cfg.Concurrency && g.having[who] < g.cfg.PerPrincipal {
		g.inside++
		g.having[who]++
		return nil, nil
	}
	if g.waiting >= g.cfg.Queue {
		g.refused++
		return nil, g.full(fmt.Sprintf("%d calls are at the model's server, %d of them yours, and %d wait, as many as may", g.inside, g.having[who], g.waiting))
	}
	if mine := len(g.queues[who]); mine >= max(g.cfg.Queue/2, 1) {
		g.refused++
		return nil, g.full(fmt.Sprintf("%d of your calls wait for the model's server, as many as one caller's may", mine))
	}
	w := &waiter{turn: make(chan struct{})}
	if len(g.queues[who]) == 0 {
		g.turns = append(g.turns, who)
	}
	g.queues[who] = append(g.queues[who], w)
	g.waiting++
	return w, nil
}

func (g *gate) full(message string) error {
	return &access.Error{
		Kind: access.Exhausted, Reason: access.ReasonBackendBusy, RetryAfter: busy,
		Message: message + "; try again later",
	}
}

// quit takes back a wait. A place that was given meanwhile goes on.
func (g *gate) quit(who string, w *waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.in {
		g.out(who)
		return
	}
	g.refused++
	i := slices.Index(g.queues[who], w)
	g.take(who, i)
	if len(g.queues[who]) == 0 {
		i = slices.Index(g.turns, who)
		g.turns = slices.Delete(g.turns, i, i+1)
		delete(g.queues, who)
	}
}

// take takes the i-th of a caller's calls out of the queue.
func (g *gate) take(who string, i int) *waiter {
	w := g.queues[who][i]
	g.queues[who] = slices.Delete(g.queues[who], i, i+1)
	g.waiting--
	return w
}

// leave gives a caller's place back.
func (g *gate) leave(who string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.out(who)
}

// out hands a caller's place on to whose turn it is, of those who may have more.
func (g *gate) out(who string) {
	if g.having[who]--; g.having[who] == 0 {
		delete(g.having, who)
	}
	i := slices.IndexFunc(g.turns, func(next string) bool { return g.having[next] < g.cfg.PerPrincipal })
	if i < 0 {
		g.inside--
		return
	}
	next := g.turns[i]
	g.turns = slices.Delete(g.turns, i, i+1)
	w := g.take(next, 0)
	if len(g.queues[next]) > 0 {
		g.turns = append(g.turns, next)
	} else {
		delete(g.queues, next)
	}
	g.having[next]++
	w.in = true
	close(w.turn)
}

// counts is how many calls are inside, wait, and were refused so far.
func (g *gate) counts() (inside, waiting int, refused int64) {
	if g == nil {
		return 0, 0, 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside, g.waiting, g.refused
}
