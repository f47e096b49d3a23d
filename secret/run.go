package secret

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/sluice-gateway/sluice/store"
)

const (
	// sweepEvery is how often it is looked what has idled long enough.
	sweepEvery = time.Second
	// writeUse is how often the last use of a credential is written down.
	writeUse = 5 * time.Minute
)

// Event is what has become of an open credential.
type Event int

// The events.
const (
	// Rotated: the next call has another value; what is open serves those that run.
	Rotated Event = iota
	// Closed: nobody has used it for a while, and it was wiped.
	Closed
	// Revoked: it is not there any more; what runs on it is to be ended.
	Revoked
)

type watcher struct{ heard func(Event) }

// Watch has heard called with each event of a credential, until stop. It must not
// block, nor lease.
func (c *Credentials) Watch(name string, heard func(Event)) (stop func()) {
	s, w := c.slot(name), &watcher{heard}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers[w] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
	}
}

// tell has every watcher hear of an event, in goroutines of their own. Its caller
// holds mu.
func (s *slot) tell(e Event) {
	for w := range s.watchers {
		go w.heard(e)
	}
}

// changed takes over what was done to a secret: r is its record, nil if it is
// gone.
func (c *Credentials) changed(name string, r *record) {
	s := c.slot(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = nil
	o := s.open
	switch {
	case o == nil && r == nil:
		s.tell(Revoked) // calls may still run on what was retired
	case o == nil:
	case r == nil:
		s.retire(o)
		s.tell(Revoked)
	case r.Version != o.version:
		s.retire(o)
		s.tell(Rotated)
	default:
		o.confirmed = c.o.Now()
	}
}

// Run keeps what is open as the store has it, wipes what idles, and writes down
// what was used, until ctx ends: then everything is wiped that no call holds. At
// first it seals anew what is under an old key.
func (c *Credentials) Run(ctx context.Context) {
	c.resealAll(ctx)
	hints := c.o.Store.Watch(ctx, KindCredential)
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case hint, open := <-hints:
			if !open {
				c.sweep(context.WithoutCancel(ctx), true)
				return
			}
			c.confirm(ctx, hint.ID)
		case <-sweep.C:
			c.sweep(ctx, false)
		}
	}
}

func (c *Credentials) all() (all []*slot) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, s := range c.slots {
		all = append(all, s)
	}
	return all
}

// confirm reads again what is open, or only the one of a name.
func (c *Credentials) confirm(ctx context.Context, name string) {
	for _, s := range c.all() {
		if name != "" && s.name != name {
			continue
		}
		s.mu.Lock()
		concerned := s.open != nil || len(s.watchers) > 0
		s.mu.Unlock()
		if !concerned {
			continue
		}
		item, err := c.o.Store.Get(ctx, KindCredential, s.name)
		switch {
		case errors.Is(err, store.ErrNotFound):
			s.mu.Lock()
			open := s.open != nil
			s.mu.Unlock()
			if open {
				c.o.Log.LogAttrs(ctx, slog.LevelWarn, "a stored credential was removed", slog.String("credential", s.name))
				c.changed(s.name, nil)
			}
		case err != nil:
			c.o.Log.LogAttrs(ctx, slog.LevelWarn, "a stored credential could not be confirmed", slog.String("credential", s.name), slog.Any("error", err))
		default:
			if r, err := decode(item); err == nil {
				c.changed(s.name, &r)
			}
		}
	}
}

// sweep wipes what nobody has used for long enough; all of it, at the end.
func (c *Credentials) sweep(ctx context.Context, all bool) {
	now := c.o.Now()
	for _, s := range c.all() {
		s.mu.Lock()
		if o := s.open; o != nil && o.leases == 0 && (all || now.Sub(o.idle) >= c.o.Idle) {
			s.retire(o)
			s.tell(Closed)
		}
		used := s.used
		due := !used.IsZero() && used.Sub(s.written) >= writeUse || all && used.After(s.written)
		if due {
			s.written = used
		}
		s.mu.Unlock()
		if due {
			c.writeUse(ctx, s.name, used)
		}
	}
}

// writeUse notes a use as well as it can: nothing depends on it.
func (c *Credentials) writeUse(ctx context.Context, name string, at time.Time) {
	item, err := c.o.Store.Get(ctx, KindUse, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return
	}
	body, err := json.Marshal(use{At: at})
	if err != nil {
		return
	}
	item.Kind, item.ID, item.Body = KindUse, name, body
	_ = c.o.Store.Apply(ctx, store.Change{Item: item}) // another replica's is as good
}

// resealAll seals anew, under the key that seals now, what is under another one.
func (c *Credentials) resealAll(ctx context.Context) {
	for after := ""; ; {
		items, err := c.o.Store.List(ctx, store.Query{Kind: KindCredential, After: after})
		if err != nil || len(items) == 0 {
			return
		}
		for _, item := range items {
			after = item.ID
			r, err := decode(item)
			if err != nil || c.o.Ring.Current(r.Sealed) {
				continue
			}
			if _, err := c.reseal(ctx, item, r); err != nil {
				c.o.Log.LogAttrs(ctx, slog.LevelError, "a stored secret could not be sealed anew", slog.String("secret", item.ID), slog.Any("error", errors.Unwrap(err)))
			}
		}
	}
}
