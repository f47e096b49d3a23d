package pool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	// maxTries is how many replicas one call is tried at. What was sent and broke
	// off is repeated once: a request that kills its server must not kill all.
	maxTries = 4
	// repeatShare is how many repeats each call earns, and repeatBurst how many
	// may be saved up: repeats must not double the load of servers that fail
	// because of it.
	repeatShare = 0.2
	repeatBurst = 100
)

// repeats says how much may be repeated, and counts it.
type repeats struct {
	most int64        // bytes kept at once
	kept atomic.Int64 // bytes kept now
	made atomic.Int64

	mu    sync.Mutex
	saved float64
}

func newRepeats(most int64) *repeats { return &repeats{most: most, saved: repeatBurst} }

// earn counts a call.
func (r *repeats) earn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved = min(r.saved+repeatShare, repeatBurst)
}

// spend takes one repeat, if there is one.
func (r *repeats) spend() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.saved < 1 {
		return false
	}
	r.saved--
	r.made.Add(1)
	return true
}

// reserve takes room for n bytes that are kept, which release gives back.
func (r *repeats) reserve(n int64) bool {
	if r.kept.Add(n) > r.most {
		r.kept.Add(-n)
		return false
	}
	return true
}

func (r *repeats) release(n int64) { r.kept.Add(-n) }

// keep makes of a request that would be handed over one that is still there when
// its answer has come, if there is room, and returns what ends that.
func (r *repeats) keep(c *call) (end func()) {
	h, ok := c.req.(wire.HandOver)
	if !ok {
		return func() {}
	}
	n := int64(h.Len())
	if !r.reserve(n) {
		return func() {}
	}
	c.req = h.Message
	return func() { r.release(n) }
}

// whole tells whether a request is still there to be sent again.
func (c *call) whole() bool {
	h, handed := c.req.(wire.HandOver)
	return !handed || h.Buffers() != nil
}

// anywhere sends a call to a replica, and to another one where the first could
// not answer it. What may not be repeated is sent again only if it never left.
func (p *Pool) anywhere(ctx context.Context, c call, model string, repeatable bool) error {
	p.repeats.earn()
	if repeatable {
		defer p.repeats.keep(&c)()
	}
	var tried [maxTries]*member
	sent := false
	for n := 0; ; n++ {
		m, done := p.admit(model, tried[:n])
		if m == nil {
			return errNobody()
		}
		answered, err := m.try(ctx, c)
		done(err)
		if err == nil || answered || n+1 == maxTries || ctx.Err() != nil || !c.whole() || len(p.all()) < n+2 {
			return err
		}
		if !backends.IsUnsent(err) {
			if sent || !repeatable || !mayHelp(err) {
				return err
			}
			sent = true
		}
		if !p.repeats.spend() {
			return err
		}
		tried[n] = m
	}
}

// mayHelp tells the errors that another replica may not have: the connection
// broke, or the server itself said that it cannot answer now, as one does that
// is being stopped.
func mayHelp(err error) bool {
	var own *access.Error
	if errors.As(err, &own) {
		return backends.IsAway(err)
	}
	return status.Code(err) == codes.Unavailable
}

// admit picks a replica whose breaker lets a call through; where no breaker
// does, any. The function is to be told how the call ended.
func (p *Pool) admit(model string, tried []*member) (*member, func(error)) {
	var broken [few]*member
	refused := append(broken[:0], tried...)
	for {
		m := p.pick(model, refused)
		if m == nil {
			break
		}
		if done, err := m.breaker.Allow(); err == nil {
			return m, done
		}
		refused = append(refused, m)
	}
	return p.pick(model, tried), func(error) {}
}

// try is count for a call that may be repeated: it tells besides whether an
// answer is there. Headers are none: a server that is killed between those and
// the end of its answer has given nobody anything.
func (m *member) try(ctx context.Context, c call) (answered bool, err error) {
	m.serves(ctx)
	if err = m.count(ctx, c); err == nil {
		return true, nil
	}
	answer, ok := c.resp.(*wire.Message)
	return ok && answer.Len() > 0, err
}

// usedModels are the models that were lately answered for, and so exist: names
// that callers make up are not asked about.
type usedModels struct {
	mu   sync.RWMutex
	last map[string]*atomic.Int64
}

const (
	// maxUsed bounds the models that replicas are asked about.
	maxUsed = 256
	// usedFor is how long a model is asked about after its last call.
	usedFor = 5 * time.Minute
)

func newUsedModels() *usedModels { return &usedModels{last: make(map[string]*atomic.Int64)} }

func (u *usedModels) touch(model string) {
	u.mu.RLock()
	last := u.last[model]
	u.mu.RUnlock()
	if last != nil {
		last.Store(now())
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.last) < maxUsed && u.last[model] == nil {
		u.last[model] = new(atomic.Int64)
		u.last[model].Store(now())
	}
}

// list returns the models in use, and forgets the others.
func (u *usedModels) list() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	oldest := now() - int64(usedFor)
	var all []string
	for model, last := range u.last {
		if last.Load() < oldest {
			delete(u.last, model)
			continue
		}
		all = append(all, model)
	}
	return all
}
