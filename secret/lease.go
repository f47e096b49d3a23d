package secret

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// ErrClosed is why [Credentials.Lease] gives none to the gateway itself: no call
// has the credential open.
var ErrClosed = errors.New("secret: no call has this credential open")

// Holder is who a lease is for.
type Holder struct {
	// Who is the principal's id, Session and Call the ids of what it calls in.
	Who, Session, Call string
	// Own tells a question of the gateway's own: it opens nothing, and keeps
	// nothing open.
	Own bool
	// Brief has the value wiped as soon as nobody has a lease.
	Brief bool
}

// Lease is an opened credential for one call. It is ended once, by its holder.
type Lease struct {
	Holder
	// Since is when it began; its end is the call's.
	Since time.Time

	slot       *slot
	of         *opened
	next, prev *Lease // the others of the slot
	ended      bool
}

// Version tells values apart: it changes with each rotation.
func (l *Lease) Version() int64 { return l.of.version }

// Value is the opened secret, valid until the lease ends.
func (l *Lease) Value() *Value { return l.of.value }

// slot is a credential that some configuration names.
type slot struct {
	name string

	mu       sync.Mutex
	open     *opened   // what new leases are of; nil while nothing is open
	opening  *opening  // who reads it now
	failed   error     // why it could not be opened last
	failedAt time.Time // when
	used     time.Time // when a call had a lease last
	written  time.Time // up to when that is in the store
	leases   int
	watchers map[*watcher]bool
}

// opened is one version of a value in clear.
type opened struct {
	version   int64
	value     *Value
	leases    int
	first     *Lease
	idle      time.Time // since when nobody has a lease
	confirmed time.Time // when the store last had it
	brief     bool      // wiped with the last lease
	over      bool      // not leased any more
}

// opening is one reading of the store that several may wait for.
type opening struct {
	done chan struct{}
	err  error
}

// failPause is how long a failure to open is what everybody gets: a store that is
// away isn't asked by each call.
const failPause = time.Second

func (c *Credentials) slot(name string) *slot {
	c.mu.RLock()
	s := c.slots[name]
	c.mu.RUnlock()
	if s != nil {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s = c.slots[name]; s == nil {
		s = &slot{name: name, watchers: make(map[*watcher]bool)}
		c.slots[name] = s
	}
	return s
}

// Lease opens a credential for a call, or joins those that have it open. The
// error is CREDENTIAL_UNAVAILABLE, or [ErrClosed]. name must be one of a
// configuration: what is known of each stays.
func (c *Credentials) Lease(ctx context.Context, name string, h Holder) (*Lease, error) {
	s := c.slot(name)
	for range 3 { // what others open may be over before we have it
		now := c.o.Now()
		s.mu.Lock()
		if o := s.open; o != nil && now.Sub(o.confirmed) <= c.o.Unconfirmed {
			l := s.lease(h, now)
			s.mu.Unlock()
			return l, nil
		}
		switch {
		case h.Own:
			s.mu.Unlock()
			return nil, ErrClosed
		case s.failed != nil && now.Sub(s.failedAt) < failPause && !now.Before(s.failedAt):
			err := s.failed
			s.mu.Unlock()
			return nil, Unavailable(err)
		}
		o := s.opening
		if o == nil {
			o = &opening{done: make(chan struct{})}
			s.opening = o
			go c.read(s, o) // one caller's end must not be the others'
		}
		s.mu.Unlock()
		select {
		case <-o.done:
			if o.err != nil {
				return nil, Unavailable(o.err)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, Unavailable(fmt.Errorf("secret %s: it changes faster than it can be opened", name))
}

// read opens the slot's credential. It ends: a store bounds its calls.
func (c *Credentials) read(s *slot, o *opening) {
	found, err := c.decrypt(s.name)
	now := c.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(o.done)
	s.opening = nil
	if o.err = err; err != nil {
		s.failed, s.failedAt = err, now
		return
	}
	s.failed = nil
	if old := s.open; old != nil {
		if old.version == found.version {
			old.confirmed = now
			found.value.wipe()
			return
		}
		s.retire(old)
	}
	found.confirmed, found.idle = now, now
	s.open = found
}

func (c *Credentials) decrypt(name string) (*opened, error) {
	item, err := c.o.Store.Get(context.Background(), KindCredential, name)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	r, err := decode(item)
	if err != nil {
		return nil, fmt.Errorf("secret %s: its item in the store can't be read", name)
	}
	text, err := c.o.Ring.Open(r.Sealed, at(name, Kind(item.State), r.Version)...)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	value, refused := parse(Kind(item.State), text)
	if refused != nil {
		text.Wipe()
		return nil, fmt.Errorf("secret %s: %w", name, refused)
	}
	return &opened{version: r.Version, value: value}, nil
}

// lease adds one to what is open. Its caller holds mu.
func (s *slot) lease(h Holder, now time.Time) *Lease {
	o := s.open
	l := &Lease{Holder: h, Since: now, slot: s, of: o, next: o.first}
	if o.first != nil {
		o.first.prev = l
	}
	o.first = l
	o.leases++
	s.leases++
	if !h.Own {
		s.used = now
		o.brief = o.brief || h.Brief
	}
	return l
}

// End ends the lease; ending it twice does nothing. now is the clock of who ends
// it: an open credential idles from then on.
func (l *Lease) End(now time.Time) {
	s := l.slot
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	o := l.of
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		o.first = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	}
	o.leases--
	s.leases--
	if !l.Own {
		o.idle = now
	}
	if o.leases == 0 && (o.over || o.brief) {
		if s.open == o {
			s.open = nil
			defer s.tell(Closed)
		}
		o.over = true
		o.value.wipe()
	}
}

// retire has an opened value leased no more, and wipes it when nobody has it.
// Its caller holds mu.
func (s *slot) retire(o *opened) {
	o.over = true
	if s.open == o {
		s.open = nil
	}
	if o.leases == 0 {
		o.value.wipe()
	}
}

// Leased is what is known of one credential's leases.
type Leased struct {
	Name string
	// Open tells that the value is in memory in clear.
	Open   bool
	Leases []Holder
	Count  int
}

// Leases tells of each credential that was ever leased; who holds them only with
// holders.
func (c *Credentials) Leases(holders bool) (all []Leased) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, s := range c.slots {
		s.mu.Lock()
		one := Leased{Name: s.name, Open: s.open != nil, Count: s.leases}
		if holders && s.open != nil {
			for l := s.open.first; l != nil; l = l.next {
				one.Leases = append(one.Leases, l.Holder)
			}
		}
		s.mu.Unlock()
		all = append(all, one)
	}
	return all
}

// HolderOf is the holder that a call is. A probe of somebody who has shown nothing
// opens as little as the gateway's own questions do.
func HolderOf(call *access.Call) Holder {
	if call == nil || call.Principal == nil {
		return Holder{Own: true}
	}
	return Holder{Who: call.Principal.ID(), Session: call.Session, Call: call.ID}
}
