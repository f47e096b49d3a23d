package session

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// Options are what a [Registry] needs.
type Options struct {
	// Store is where replicas tell each other who is ended and who is there; nil if
	// this replica is alone.
	Store store.Store
	// Replica is this replica's name in lists; a random one if empty.
	Replica string
	// Log hears of trouble with the store.
	Log *slog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Believed tells whether the clock is right, as far as one can know: while it may not
	// be, who was kept out for a time stays out. nil believes it.
	Believed func() bool
}

// Registry holds the live sessions and who is kept out. It is safe for
// concurrent use.
type Registry struct {
	store store.Store
	log   *slog.Logger
	now   func() time.Time
	// believed is asked after now.
	believed func() bool
	// replica is the name, item the snapshot's id, which is never used again.
	replica, item string

	nowhere *Conn // of calls that came in on no connection that is known

	mu    sync.Mutex
	conns map[*Conn]struct{}

	// syncing is held while the store is read or written and what is in force goes
	// after it, so that no older reading replaces a newer word.
	syncing sync.Mutex
	ended   atomic.Pointer[map[string]*Ended] // replaced, never written to
	ending  sync.Mutex                        // held to replace ended
	pending map[string]*Ended                 // what the store does not know yet; under ending
	heard   map[string]time.Time              // sessions that others have killed; under ending
	changed atomic.Bool                       // sessions have come or gone since the last snapshot
}

// New returns a registry without sessions. [Registry.Run] keeps it in step with
// the other replicas.
func New(o Options) *Registry {
	r := &Registry{
		store: o.Store, log: o.Log, now: o.Now, believed: o.Believed, replica: o.Replica,
		conns: make(map[*Conn]struct{}), pending: make(map[string]*Ended), heard: make(map[string]time.Time),
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.believed == nil {
		r.believed = func() bool { return true }
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.item = store.NewID(r.now())
	if r.replica == "" {
		r.replica = r.item
	}
	r.ended.Store(&map[string]*Ended{})
	r.nowhere = r.Connect()
	return r
}

// Nowhere is the connection of calls that come in on none that is known.
func (r *Registry) Nowhere() *Conn { return r.nowhere }

// KeptOut tells whether a principal is ended now.
func (r *Registry) KeptOut(p *access.Principal) bool { return r.keptOut(p, r.now()) != nil }

// keptOut says why a principal may not call, or nil.
func (r *Registry) keptOut(p *access.Principal, now time.Time) *access.Error {
	ended := *r.ended.Load()
	if len(ended) == 0 {
		return nil
	}
	e := ended[p.ID()]
	if e == nil || r.over(e, now) {
		return nil
	}
	return e.refusal()
}

// each calls f with every session of this replica, its connection locked. f may
// take the session out.
func (r *Registry) each(f func(*Conn, *live)) {
	r.mu.Lock()
	conns := make([]*Conn, 0, len(r.conns))
	for c := range r.conns {
		conns = append(conns, c)
	}
	r.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		for s := c.all.first; s != nil; {
			next := s.after
			f(c, s)
			s = next
		}
		c.mu.Unlock()
	}
}

// stop ends the sessions that are meant and the calls that are open in them, and
// tells how many sessions these were. The next call of such a principal, if he is
// not kept out, begins another session: an id does not come back.
func (r *Registry) stop(meant func(*live) bool, why *access.Error) (sessions int) {
	var calls []*Call
	r.each(func(c *Conn, s *live) {
		if s.killed || !meant(s) {
			return
		}
		sessions++
		s.killed = true
		for call := s.open; call != nil; call = call.after {
			if call.why.CompareAndSwap(nil, why) {
				calls = append(calls, call)
			}
		}
		if s.open == nil {
			c.drop(s)
		} else if c.current[s.principal.ID()] == s {
			delete(c.current, s.principal.ID())
		}
	})
	for _, call := range calls {
		call.ender.End(why)
	}
	if sessions > 0 {
		r.changed.Store(true)
	}
	return sessions
}
