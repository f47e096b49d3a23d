package session

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

const (
	// maxOfConn is how many sessions of single calls a connection keeps that have
	// no call open: a proxy's connection carries many principals.
	maxOfConn = 128
	// maxModels is how many models a session remembers.
	maxModels = 16
)

// Conn is one connection that calls come in on. It is safe for concurrent use.
type Conn struct {
	registry *Registry

	mu sync.Mutex
	// current are the sessions of single calls by the principal's id.
	current map[string]*live
	all     list // of the sessions, streams' too
	closed  bool
}

// Connect notes a new connection.
func (r *Registry) Connect() *Conn {
	c := &Conn{registry: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c] = struct{}{}
	return c
}

// Close forgets the connection. Calls that are still open go on being known until
// they are closed, and can be ended.
func (c *Conn) Close() {
	c.mu.Lock()
	c.closed = true
	for _, s := range c.current {
		if s.open == nil {
			c.drop(s)
		}
	}
	c.mu.Unlock()
	c.forgetIfEmpty()
}

func (c *Conn) forgetIfEmpty() {
	c.mu.Lock()
	gone := c.closed && c.all.n == 0
	c.mu.Unlock()
	if gone {
		c.registry.mu.Lock()
		delete(c.registry.conns, c)
		c.registry.mu.Unlock()
	}
}

// drop ends a session without open calls; c is locked.
func (c *Conn) drop(s *live) {
	if id := s.principal.ID(); c.current[id] == s {
		delete(c.current, id)
	}
	c.all.remove(s)
}

// live is a session. What is not fixed is under the connection's lock.
type live struct {
	before, after *live

	id        string
	principal *access.Principal
	call      *access.Call // of a stream; nil for single calls
	door      string
	since     time.Time

	peer   string
	last   time.Time
	calls  int64
	models []string // the one called last is at the end
	open   *Call    // the first of a list
	opened int      // how many are in it
	killed bool
}

// list is a list of sessions.
type list struct {
	first *live
	n     int
}

func (l *list) add(s *live) {
	if s.after = l.first; s.after != nil {
		s.after.before = s
	}
	l.first = s
	l.n++
}

func (l *list) remove(s *live) {
	if s.before != nil {
		s.before.after = s.after
	} else {
		l.first = s.after
	}
	if s.after != nil {
		s.after.before = s.before
	}
	s.before, s.after = nil, nil
	l.n--
}

// Ender stops what a call is doing. It is called at most once, on any goroutine,
// must not wait, and may be called when the call has just ended by itself.
type Ender interface {
	End(why *access.Error)
}

// Call is one open call. It is made by [Conn.Open], in the caller's memory, and
// must not be moved or used again.
type Call struct {
	before, after *Call
	conn          *Conn
	session       *live
	ender         Ender
	why           atomic.Pointer[access.Error]
}

// Open notes that a call has begun, in c, which is zero, and sets call.Session.
// It is an error if the call's principal is kept out. Whoever opens a call closes
// it, unless there is an error.
func (c *Conn) Open(call *access.Call, into *Call, ender Ender) error {
	into.conn, into.ender = c, ender
	c.mu.Lock()
	s := c.sessionOf(call)
	into.session = s
	if into.after = s.open; into.after != nil {
		into.after.before = into
	}
	s.open = into
	s.opened++
	s.last = call.Opened
	if !call.Stream {
		s.calls++
	}
	c.mu.Unlock()
	call.Session = s.id
	// Who is ended after this finds the call; who was before is found here.
	if why := c.registry.keptOut(call.Principal, call.Opened); why != nil {
		into.Close(call)
		return why
	}
	return nil
}

// sessionOf finds or makes the session that a call belongs to; c is locked.
func (c *Conn) sessionOf(call *access.Call) *live {
	p := call.Principal
	if !call.Stream {
		if s := c.current[p.ID()]; s != nil {
			s.principal = p // a newer token may say more
			return s
		}
	}
	s := &live{id: newID(), principal: p, door: call.Door, since: call.Opened}
	if call.Peer.IsValid() {
		s.peer = call.Peer.String()
	}
	if call.Stream {
		s.call = call
	} else {
		c.makeRoom()
		if c.current == nil {
			c.current = make(map[string]*live)
		}
		c.current[p.ID()] = s
	}
	c.all.add(s)
	c.registry.changed.Store(true)
	return s
}

// makeRoom forgets the session that was not used for the longest time if there
// are too many; c is locked.
func (c *Conn) makeRoom() {
	if len(c.current) < maxOfConn {
		return
	}
	var oldest *live
	for _, s := range c.current {
		if s.open == nil && (oldest == nil || s.last.Before(oldest.last)) {
			oldest = s
		}
	}
	if oldest != nil {
		c.drop(oldest)
	}
}

// Close notes that the call has ended. It is called once.
func (call *Call) Close(about *access.Call) {
	c, s := call.conn, call.session
	c.mu.Lock()
	if call.before != nil {
		call.before.after = call.after
	} else {
		s.open = call.after
	}
	if call.after != nil {
		call.after.before = call.before
	}
	s.opened--
	if !about.Stream && about.Decision.Allowed {
		s.saw(about.Model)
	}
	over := s.open == nil && (s.call != nil || s.killed || c.closed)
	if over {
		c.drop(s)
	}
	last := over && c.closed
	c.mu.Unlock()
	if over {
		c.registry.changed.Store(true)
	}
	if last {
		c.forgetIfEmpty()
	}
}

// Message notes one message of a stream that may go on to a model.
func (call *Call) Message(model string, now time.Time) {
	call.conn.mu.Lock()
	defer call.conn.mu.Unlock()
	s := call.session
	s.calls++
	s.last = now
	s.saw(model)
}

// Ended is why the call was ended, or nil.
func (call *Call) Ended() *access.Error { return call.why.Load() }

// saw remembers a model. Its name is the caller's, of a call that was allowed.
func (s *live) saw(model string) {
	n := len(s.models)
	if model == "" || n > 0 && s.models[n-1] == model {
		return
	}
	for i, m := range s.models {
		if m == model {
			copy(s.models[i:], s.models[i+1:])
			s.models[n-1] = m
			return
		}
	}
	if n == maxModels {
		s.models = append(s.models[:0], s.models[1:]...)
	}
	s.models = append(s.models, string([]byte(model))) // a message's buffer is not kept
}

// newID returns 128 bits of chance in hexadecimal digits.
func newID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails: it ends the program instead
	return hex.EncodeToString(raw[:])
}
