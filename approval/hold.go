package approval

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// A held call whose deadline comes gets its request's id so long before it, or
// a fifth of its time if that is less: an answer at the deadline itself would
// not reach the client any more.
const beforeDeadline = 250 * time.Millisecond

// held is one call that waits.
type held struct {
	*Ask
	engine *Engine
	bell   bell
	began  time.Duration
	// quit is when it has to stop for its deadline; a nil channel is never.
	quit <-chan time.Time
	// requests are those that it waits for, or has waited for.
	requests []*Request
}

// hold waits until nothing is missing any more.
func (e *Engine) hold(ctx context.Context, a *Ask, without []missing) (*access.Approval, error) {
	h := &held{Ask: a, engine: e, bell: make(bell, 1), began: e.clock.passed()}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		timer := time.NewTimer(left - min(left/5, beforeDeadline))
		defer timer.Stop()
		h.quit = timer.C
	}
	for {
		if err := h.wait(ctx, without); err != nil {
			return h.approval(nil), err
		}
		needs, err := h.recheck()
		if err != nil {
			return h.approval(nil), err
		}
		approval, still, err := e.pass(ctx, a, needs)
		if err != nil || len(still) == 0 {
			return h.approval(approval), err
		}
		without = still
	}
}

// approval notes how long the call waited and, where nothing let it through,
// what for.
func (h *held) approval(a *access.Approval) *access.Approval {
	if a == nil || a.Grant == "" {
		a = &access.Approval{}
		for _, r := range h.requests {
			a.Request = listed(a.Request, r.ID)
			if r.Denial != nil {
				a.Approvers = append(a.Approvers, r.Denial.By.ID())
			}
		}
	}
	a.Waited = h.engine.clock.passed() - h.began
	return a
}

// wait waits for what is missing until something has changed that the call has
// to look at again.
func (h *held) wait(ctx context.Context, without []missing) error {
	w := h.engine.waiting
	slots := make([]*slot, 0, len(without))
	defer func() {
		for _, s := range slots {
			w.part(s, h.bell)
		}
	}()
	select { // rung by a slot that it waited for before
	case <-h.bell:
	default:
	}
	h.requests = h.requests[:0]
	patient := true
	for _, m := range without {
		s := w.join(m.key, h.bell) // before the request is read: no answer to it is missed
		slots = append(slots, s)
		r, err := h.engine.request(ctx, h.Ask, m)
		if err != nil || r == nil {
			return err
		}
		w.name(s, h.bell, r.ID)
		h.requests = append(h.requests, r)
		patient = patient && m.need.Terms.Mode != access.Ask
	}
	if !patient {
		return needed(h.requests)
	}
	return h.sleep(ctx, slots)
}

// sleep waits for an answer to one of the requests, or for their end.
func (h *held) sleep(ctx context.Context, slots []*slot) error {
	e := h.engine
	expiry := time.NewTimer(h.left())
	defer expiry.Stop()
	for {
		select {
		case <-h.bell:
			if awake, err := h.answered(slots); awake || err != nil {
				return err
			}
		case <-h.quit:
			return needed(h.requests)
		case <-expiry.C:
			return h.expire(ctx)
		case <-e.stopped:
			return interrupted(ids(h.requests))
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return needed(h.requests) // the store took too long
			}
			return ctx.Err()
		}
	}
}

// left is the time until the first of the requests expires, as it passes
// really: a clock that is set back in the meantime changes nothing.
func (h *held) left() time.Duration {
	least := h.requests[0].Within
	for _, r := range h.requests {
		least = min(least, r.Within, r.Expires.Sub(h.engine.clock.now()))
	}
	return least
}

// answered looks at what has become of the requests.
func (h *held) answered(slots []*slot) (awake bool, err error) {
	for i, s := range slots {
		outcome, woken := h.engine.waiting.outcome(s)
		if !woken {
			continue
		}
		awake = true
		if outcome != nil && outcome.ID == h.requests[i].ID && outcome.State != Approved {
			h.requests[i] = outcome
			return true, undecided(outcome)
		}
	}
	return awake, nil
}

// expire ends the requests whose time is over, unless they were decided in the
// last moment.
func (h *held) expire(ctx context.Context) error {
	e := h.engine
	for i, r := range h.requests {
		now, err := readRequest(ctx, e.store, r.ID)
		if err == nil && now.State == Pending {
			if r.Expires.Sub(e.clock.now()) > 0 && e.clock.passed()-h.began < r.Within {
				continue // another one's time is over
			}
			now.State, now.Ended = Expired, e.clock.now()
			n := noticeOf(now.Request, access.EventExpired)
			n.Reason = endings[Expired]
			err = e.applyRequest(ctx, now, n)
			if errors.Is(err, store.ErrConflict) {
				return nil // decided just now: look again
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // nobody can say any more that it was approved in time
			expired := *r
			expired.State = Expired
			return undecided(&expired)
		}
		if h.requests[i] = now.Request; now.State != Approved {
			e.waiting.wake(parseKey(now.Digest), now.Request)
			return undecided(now.Request)
		}
		if err := e.refreshGrant(ctx, now.Grant); err != nil {
			return failed(ctx, err)
		}
	}
	return nil
}

// recheck decides the call again. One whose token has run out can't go on; the
// grant stays for its repeat.
func (h *held) recheck() ([]*access.Need, error) {
	if expires := h.Principal.Expires; !expires.IsZero() && !h.engine.clock.now().Before(expires) {
		return nil, &access.Error{
			Kind: access.NeedsApproval, Reason: access.ReasonTokenExpired,
			Message: "the token has expired while the call waited for approval; repeat the call with a new one: what was approved (" + ids(h.requests) + ") stays until its time is over",
		}
	}
	if h.Recheck == nil {
		return h.Needs, nil
	}
	return h.Recheck()
}

// ids are requests as a refusal names them.
func ids(requests []*Request) string {
	names := make([]string, 0, len(requests))
	for _, r := range requests {
		names = append(names, "request "+r.ID)
	}
	return strings.Join(names, ", ")
}
