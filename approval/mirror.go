package approval

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// stale is how long a grant is used without having been seen in the store.
const stale = 60 * time.Second

// live is a grant as memory has it. What it says never changes: a newer revision
// is a new one, which shares over with those before it.
type live struct {
	grant
	key        key
	verb       access.Verb
	definition key
	// ends and seen count from the engine's beginning: when the grant is over,
	// whatever the wall's clock says, and when it was last there in the store.
	ends time.Duration
	seen *atomic.Int64
	over *atomic.Int32
	// approval is what a call that uses the grant without further ado is noted with.
	approval *access.Approval
}

// The states of live.over.
const (
	notOver int32 = iota
	ended
	revoked
)

// holder is who has grants, as the key of a map that is asked without an
// allocation.
type holder struct{ issuer, subject string }

// mirror is memory's picture of the live grants. Those that are over stay until
// the store's list of live ones was read without them: a list that was begun
// before does not bring them back.
type mirror struct {
	// ahead counts the grants that are not of guards, so that who has none pays
	// nothing.
	ahead atomic.Int64

	mu       sync.RWMutex
	byID     map[string]*live
	byKey    map[key][]*live    // of guards
	byHolder map[holder][]*live // of access and break-glass
}

func newMirror() *mirror {
	return &mirror{byID: make(map[string]*live), byKey: make(map[key][]*live), byHolder: make(map[holder][]*live)}
}

// put takes over what was read of a grant, at the time at; an older revision
// than the one that is there changes nothing.
func (m *mirror) put(g grant, c *clock, at time.Duration) *live {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.byID[g.ID]
	if before != nil && before.revision >= g.revision {
		if before.revision == g.revision {
			before.seen.Store(max(before.seen.Load(), int64(at)))
		}
		return before
	}
	l := newLive(g, c, at)
	if before != nil {
		l.ends, l.seen, l.over = min(l.ends, before.ends), before.seen, before.over
		l.seen.Store(max(l.seen.Load(), int64(at)))
		m.remove(before)
	}
	switch g.State {
	case Live:
	case Revoked:
		l.over.Store(revoked)
	default:
		l.over.CompareAndSwap(notOver, ended)
	}
	m.add(l)
	return l
}

func newLive(g grant, c *clock, at time.Duration) *live {
	l := &live{grant: g, key: parseKey(g.Key), definition: parseKey(g.Definition), seen: new(atomic.Int64), over: new(atomic.Int32)}
	l.verb, _ = access.ParseVerb(g.Verb)
	l.seen.Store(int64(at))
	l.ends = c.passed() + c.left(g.Granted, g.Until)
	l.approval = &access.Approval{Request: g.Request, Grant: g.ID, BreakGlass: g.Source == FromBreakGlass}
	for _, v := range g.Approvals {
		l.approval.Approvers = append(l.approval.Approvers, v.By.ID())
	}
	return l
}

func (m *mirror) add(l *live) {
	m.byID[l.ID] = l
	if l.State != Live {
		return
	}
	if l.Source == FromGuard {
		m.byKey[l.key] = append(m.byKey[l.key], l)
		return
	}
	h := holder{l.Holder.Issuer, l.Holder.Subject}
	m.byHolder[h] = append(m.byHolder[h], l)
	m.ahead.Add(1)
}

// remove takes a grant out; lists that readers may hold are not written to.
func (m *mirror) remove(l *live) {
	delete(m.byID, l.ID)
	if l.State != Live {
		return
	}
	if l.Source == FromGuard {
		take(m.byKey, l.key, l)
		return
	}
	take(m.byHolder, holder{l.Holder.Issuer, l.Holder.Subject}, l)
	m.ahead.Add(-1)
}

func take[K comparable](in map[K][]*live, k K, l *live) {
	rest := slices.DeleteFunc(slices.Clone(in[k]), func(other *live) bool { return other == l })
	if len(rest) == 0 {
		delete(in, k)
		return
	}
	in[k] = rest
}

// drop forgets a grant that is not in the store any more, or is over and was
// not among the live ones of a list.
func (m *mirror) drop(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.byID[id]; l != nil {
		l.over.CompareAndSwap(notOver, ended)
		m.remove(l)
	}
}

// all are the grants that memory has.
func (m *mirror) all() []*live {
	m.mu.RLock()
	defer m.mu.RUnlock()
	grants := make([]*live, 0, len(m.byID))
	for _, l := range m.byID {
		grants = append(grants, l)
	}
	return grants
}

func (m *mirror) get(id string) *live {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.byID[id]
}

// of are the live grants for a key; the list is not to be written to.
func (m *mirror) of(k key) []*live {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.byKey[k]
}

// held are the live grants of who that are not of guards.
func (m *mirror) held(who *access.Principal) []*live {
	if m.ahead.Load() == 0 || who == nil {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.byHolder[holder{who.Issuer, who.Subject}]
}

// usable tells whether a grant may be used now: it is live, was seen in the
// store lately, and is not over by either clock.
func (e *Engine) usable(l *live) bool {
	passed := e.clock.passed()
	now := e.clock.now()
	return l.State == Live && l.over.Load() == notOver &&
		passed-time.Duration(l.seen.Load()) < stale && passed < l.ends &&
		now.Before(l.Until) && !now.Before(l.Granted.Add(-slack)) &&
		(l.Uses == 0 || l.Used < l.Uses)
}
