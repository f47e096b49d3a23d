package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// Kinds of the items that are kept.
const (
	// KindEnded is a principal who is kept out, or a session that was killed.
	KindEnded store.Kind = "ended"
	// KindReplica is what one replica's sessions are.
	KindReplica store.Kind = "replica"
)

const (
	// maxReason is how many bytes of a reason are kept.
	maxReason = 500
	// maxEnded is how many principals may be kept out at once.
	maxEnded = 10_000
	// sessionMark is how long the other replicas are told of a killed session.
	sessionMark = time.Hour
	// tries bounds how often a change is made anew that another has come before.
	tries = 5
)

// Who is somebody as lists show him.
type Who struct {
	// ID is "issuer#subject"; Name is for display only.
	ID     string      `json:"id"`
	Name   string      `json:"name,omitempty"`
	Kind   access.Kind `json:"kind,omitempty"`
	Groups []string    `json:"groups,omitempty"`
}

// WhoIs is how lists show a principal; the zero Who for none.
func WhoIs(p *access.Principal) Who {
	if p == nil {
		return Who{}
	}
	return Who{ID: p.ID(), Name: p.Name, Kind: p.Kind, Groups: p.Groups}
}

// Ended is a principal who is kept out.
type Ended struct {
	// Principal is "issuer#subject".
	Principal string `json:"principal"`
	By        Who    `json:"by"`
	// Reason is the administrator's; the principal is not told.
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	// Until is when he may come back by himself; the zero time is never.
	Until time.Time `json:"until,omitzero"`
	// Session is set instead of Principal where one session was killed.
	Session string `json:"session,omitempty"`
}

func (e *Ended) over(now time.Time) bool { return !e.Until.IsZero() && !now.Before(e.Until) }

// over tells whether e is, by a time that was read before. A principal's is not while the
// clock may be wrong: who sets it forward would let him in. A killed session's does not
// come back.
func (r *Registry) over(e *Ended, now time.Time) bool {
	return e.over(now) && (e.Session != "" || r.believed())
}

// refusal is what the principal is told.
func (e *Ended) refusal() *access.Error {
	until := "until an administrator lifts that"
	if !e.Until.IsZero() {
		until = "until " + e.Until.UTC().Format("2006-01-02 15:04 MST")
	}
	return &access.Error{
		Kind: access.PermissionDenied, Reason: access.ReasonSessionKilled,
		Message: fmt.Sprintf("%s has been shut out %s; ask whoever administers this gateway", access.Quote(e.Principal), until),
		Cause:   fmt.Errorf("shut out by %s: %q", e.By.ID, e.Reason),
	}
}

// killed is what the calls of one killed session are told.
func (e *Ended) killed() *access.Error {
	return &access.Error{
		Kind: access.PermissionDenied, Reason: access.ReasonSessionKilled,
		Message: "session " + access.Quote(e.Session) + " has been ended; a new call begins another session",
		Cause:   fmt.Errorf("killed by %s: %q", e.By.ID, e.Reason),
	}
}

// Order is whom to end, why and for how long. One of Session and Principal is set.
type Order struct {
	By Who
	// Session is one session's id; its principal may begin another.
	Session string
	// Principal is "issuer#subject", matched exactly.
	Principal string
	// For is how long the principal is kept out; 0 is until that is lifted.
	For    time.Duration
	Reason string
}

// Killed is what an order has done.
type Killed struct {
	// Sessions is how many sessions were ended, as far as this replica knows.
	Sessions int
	// Ended is set where a principal is kept out.
	Ended *Ended
	// Everywhere tells that the other replicas hear of it. Where it is false the
	// store is away: this replica obeys at once, the others when it is back.
	Everywhere bool
}

// Kill ends a session, or all of a principal's, whom it keeps out: at once on this
// replica, and within a second on all that the store reaches. An earlier order
// with a later end stays in force. Errors are *access.Error.
func (r *Registry) Kill(ctx context.Context, o Order) (Killed, error) {
	if err := o.check(); err != nil {
		return Killed{}, err
	}
	e := &Ended{Principal: o.Principal, Session: o.Session, By: o.By, Reason: o.Reason, At: r.now().UTC().Truncate(time.Millisecond)}
	if o.Session != "" {
		return r.killSession(ctx, e)
	}
	if o.For > 0 {
		e.Until = e.At.Add(o.For)
	}
	k := Killed{Ended: r.keepOut(e)}
	if k.Ended == nil {
		return Killed{}, &access.Error{
			Kind: access.Exhausted, Reason: access.ReasonConflict,
			Message: fmt.Sprintf("%d principals are shut out already; lift some first, or take roles away in the policy", maxEnded),
		}
	}
	k.Sessions = r.stop(func(s *live) bool { return s.principal.ID() == o.Principal }, k.Ended.refusal())
	k.Everywhere = r.tell(ctx, k.Ended)
	if k.Everywhere {
		others, _ := r.others(ctx) // only to be counted
		for _, s := range others {
			if s.Who.ID == o.Principal {
				k.Sessions++
			}
		}
	}
	return k, nil
}

func (o Order) check() *access.Error {
	wrong := func(text string) *access.Error {
		return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: text}
	}
	issuer, subject, _ := strings.Cut(o.Principal, "#")
	switch {
	case (o.Session == "") == (o.Principal == ""):
		return wrong("say which session or which principal, and not both")
	case len(o.Session) > 64:
		return wrong("a session's id has 32 letters and digits")
	case o.Principal != "" && (issuer == "" || subject == ""):
		return wrong("a principal is written issuer#subject, as `sluice sessions list -o json` shows it")
	case len(o.Principal) > store.MaxText || strings.ContainsRune(o.Principal, 0):
		return wrong(fmt.Sprintf("a principal has at most %d bytes, none of which is 0", store.MaxText))
	case o.For < 0:
		return wrong("the time that a principal is kept out can't be negative")
	case len(o.Reason) > maxReason:
		return wrong(fmt.Sprintf("the reason is longer than %d bytes", maxReason))
	}
	return nil
}

func (r *Registry) killSession(ctx context.Context, e *Ended) (Killed, error) {
	e.Until = e.At.Add(sessionMark)
	here := r.stop(func(s *live) bool { return s.id == e.Session }, e.killed())
	if here > 0 {
		return Killed{Sessions: here, Everywhere: true}, nil // an id is one replica's
	}
	others, err := r.others(ctx)
	if err != nil {
		return Killed{}, away(err)
	}
	if !slices.ContainsFunc(others, func(s Info) bool { return s.ID == e.Session }) {
		return Killed{}, &access.Error{Kind: access.NotFound, Reason: access.ReasonNotFound, Message: "no live session has the id " + access.Quote(e.Session) + "; `sluice sessions list` shows those that there are"}
	}
	if err := r.put(ctx, e); err != nil {
		return Killed{}, away(err)
	}
	return Killed{Sessions: 1, Everywhere: true}, nil
}

func away(err error) *access.Error {
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonStoreAway, RetryAfter: store.Poll,
		Message: "the store can't be reached, and with it the other replicas; try again", Cause: err,
	}
}

// keepOut puts e in force here, or what is in force for longer; nil if there is
// no room.
func (r *Registry) keepOut(e *Ended) *Ended {
	r.ending.Lock()
	defer r.ending.Unlock()
	ended := maps.Clone(*r.ended.Load())
	if before := ended[e.Principal]; before != nil && !before.over(e.At) && !before.before(e) {
		return before
	}
	if len(ended) >= maxEnded && ended[e.Principal] == nil {
		return nil
	}
	ended[e.Principal] = e
	r.pending[e.Principal] = e
	r.ended.Store(&ended)
	return e
}

// before tells whether e ends before other does.
func (e *Ended) before(other *Ended) bool {
	return !e.Until.IsZero() && (other.Until.IsZero() || e.Until.Before(other.Until))
}

// tell has the store keep what is in force. What it could not be told is told
// again as long as this replica runs.
func (r *Registry) tell(ctx context.Context, e *Ended) bool {
	r.syncing.Lock()
	defer r.syncing.Unlock()
	err := r.put(ctx, e)
	if err == nil {
		r.told(e)
	}
	return err == nil
}

func (r *Registry) told(e *Ended) {
	r.ending.Lock()
	defer r.ending.Unlock()
	if r.pending[e.Principal] == e {
		delete(r.pending, e.Principal)
	}
}

// item is the id under which it is kept: a principal's own could be too long.
func (e *Ended) item() string {
	what := "p"
	key := e.Principal
	if e.Session != "" {
		what, key = "s", e.Session
	}
	sum := sha256.Sum256([]byte(key))
	return what + hex.EncodeToString(sum[:])
}

// put writes e, unless what is there ends later.
func (r *Registry) put(ctx context.Context, e *Ended) error {
	if r.store == nil {
		return nil
	}
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	for range tries {
		there, err := r.store.Get(ctx, KindEnded, e.item())
		switch {
		case errors.Is(err, store.ErrNotFound):
			there = store.Item{}
		case err != nil:
			return err
		}
		var before Ended
		if there.Revision > 0 && json.Unmarshal(there.Body, &before) == nil && !before.over(e.At) && !before.before(e) {
			return nil
		}
		err = r.store.Apply(ctx, store.Change{Item: store.Item{
			Kind: KindEnded, ID: e.item(), Revision: there.Revision, Owner: e.Principal, Expires: e.Until, Body: body,
		}})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return store.ErrConflict
}

// Lift lets a principal in again, on every replica. Errors are *access.Error;
// where there is one he is still kept out.
func (r *Registry) Lift(ctx context.Context, principal string) error {
	r.syncing.Lock()
	defer r.syncing.Unlock()
	e := &Ended{Principal: principal}
	found := (*r.ended.Load())[principal] != nil
	if r.store != nil {
		there, err := r.store.Get(ctx, KindEnded, e.item())
		if err == nil {
			found = true
			err = r.store.Apply(ctx, store.Change{Item: there, Delete: true})
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return away(err)
		}
	}
	r.ending.Lock()
	defer r.ending.Unlock()
	delete(r.pending, principal)
	ended := maps.Clone(*r.ended.Load())
	delete(ended, principal)
	r.ended.Store(&ended)
	if !found {
		return &access.Error{Kind: access.NotFound, Reason: access.ReasonNotFound, Message: access.Quote(principal) + " is not shut out"}
	}
	return nil
}

// Ended lists who is kept out, sorted by principal.
func (r *Registry) Ended() []Ended {
	var all []Ended
	now := r.now()
	for _, e := range *r.ended.Load() {
		if !r.over(e, now) {
			all = append(all, *e)
		}
	}
	slices.SortFunc(all, func(a, b Ended) int { return strings.Compare(a.Principal, b.Principal) })
	return all
}
