package approval

import (
	"context"
	"errors"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// use takes one use of each grant that has only so many, all of them or none. It
// is false where one is not there any more: somebody else was faster, here or on
// another replica.
func (e *Engine) use(ctx context.Context, grants []*live) (bool, error) {
	var counted []*live
	for _, l := range grants {
		if l.Uses > 0 && !slices.Contains(counted, l) {
			counted = append(counted, l)
		}
	}
	if len(counted) == 0 {
		return true, nil
	}
	for range attempts {
		at := e.clock.passed()
		changes := make([]store.Change, 0, len(counted))
		for _, l := range counted {
			g, err := readGrant(ctx, e.store, l.ID)
			if errors.Is(err, store.ErrNotFound) {
				e.mirror.drop(l.ID)
				return false, nil
			}
			if err != nil {
				return false, err
			}
			if now := e.mirror.put(g, &e.clock, at); !e.usable(now) || now.revision != g.revision {
				return false, nil
			}
			used := *g.Grant // what memory has is read by others
			if used.Used++; used.Used == used.Uses {
				used.State, used.Ended = Used, e.clock.now()
			}
			change, err := e.changeGrant(grant{&used, g.revision})
			if err != nil {
				return false, err
			}
			changes = append(changes, change)
		}
		if err := e.store.Apply(ctx, changes...); err == nil {
			return true, nil
		} else if !errors.Is(err, store.ErrConflict) {
			return false, err
		}
	}
	return false, store.ErrConflict
}

// Allows finds a grant that lets who do verb on model although no role does: nil
// if there is none. It is in memory, and must not be asked where a role denies.
// The result is shared and must not be written to.
func (e *Engine) Allows(who *access.Principal, verb access.Verb, model string) *access.Approval {
	for _, l := range e.mirror.held(who) {
		if l.verb == verb && l.Model == model && e.aheadHolds(l, who) {
			return l.approval
		}
	}
	return nil
}

// aheadHolds tells whether who may use a grant of his now: it is usable, what it
// was given by is still there, and so is his right to ask for it.
func (e *Engine) aheadHolds(l *live, who *access.Principal) bool {
	if !e.usable(l) || !e.rules.Load().holds(l.Source, "", l.definition) {
		return false
	}
	if l.Source == FromBreakGlass {
		return e.mayBreakGlass(who, l.Model)
	}
	return inGroups(who, l.For) && e.allCount(l.Grant)
}

// glassFor are the break-glass grants with which a call needs no approval of n's:
// for its model, and for each that it takes along. Who broke the glass for one
// model broke it for no other.
func (e *Engine) glassFor(a *Ask, n *access.Need) []*live {
	var all []*live
	for _, model := range append([]string{a.Model}, n.Along...) {
		l := e.brokenGlass(a.Principal, a.Verb, model)
		if l == nil {
			return nil
		}
		if !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	return all
}

// brokenGlass is a break-glass grant of who for verb on model.
func (e *Engine) brokenGlass(who *access.Principal, verb access.Verb, model string) *live {
	for _, l := range e.mirror.held(who) {
		if l.Source == FromBreakGlass && l.verb == verb && l.Model == model && e.aheadHolds(l, who) {
			return l
		}
	}
	return nil
}

// Sees tells whether who has a grant of any verb on model, which makes it visible
// to him.
func (e *Engine) Sees(who *access.Principal, model string) bool {
	for _, l := range e.mirror.held(who) {
		if l.Model == model && e.aheadHolds(l, who) {
			return true
		}
	}
	return false
}

// Revoked returns a function that tells whether a grant was revoked since, which
// costs nothing to ask; nil for a grant that memory does not have.
func (e *Engine) Revoked(grant string) func() bool {
	l := e.mirror.get(grant)
	if l == nil {
		return nil
	}
	over := l.over
	return func() bool { return over.Load() == revoked }
}

// Revoke ends a live grant at once: no call uses it any more, and a stream that did
// is cut at its next message. admin tells that who was found to hold the verb
// admin; without it he has to be one of [Grant.MayRevoke].
func (e *Engine) Revoke(ctx context.Context, who *access.Principal, id, reason string, admin bool) (*Grant, error) {
	if err := e.present(who); err != nil {
		return nil, err
	}
	for range attempts {
		g, err := readGrant(ctx, e.store, id)
		if err != nil {
			return nil, failed(ctx, err)
		}
		if !admin && !g.MayRevoke(who) {
			return nil, forbidden(access.ReasonNotApprover, "grant %s is for its holder, for who could have approved it and for administrators to revoke", id)
		}
		if g.State != Live || !e.clock.now().Before(g.Until) {
			return g.Grant, needs(access.ReasonConflict, "grant %s is over already", id)
		}
		g.State, g.Ended = Revoked, e.clock.now()
		g.Revocation = &Vote{By: personOf(who), At: g.Ended, Reason: said(reason, maxReason)}
		err = e.applyGrant(ctx, g, access.EventRevoked, who, g.Revocation.Reason)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, failed(ctx, err)
		}
		g.revision++
		e.mirror.put(g, &e.clock, e.clock.passed())
		return g.Grant, nil
	}
	return nil, failed(ctx, store.ErrConflict)
}

// applyGrant writes a grant and the notification of what actor did.
func (e *Engine) applyGrant(ctx context.Context, g grant, event access.Event, actor *access.Principal, reason string, more ...store.Change) error {
	change, err := e.changeGrant(g)
	if err != nil {
		return err
	}
	note, err := e.notify(&access.Notification{
		Event: event, Request: g.Request, Grant: g.ID, Requester: g.Holder.ID(), RequesterName: g.Holder.Name,
		Actor: actor.ID(), ActorName: actor.Name, Verb: g.Verb, Model: g.Model, Reason: reason, Ticket: g.Ticket,
		Guard: g.Guard, By: g.By, Expires: g.Until,
	})
	if err != nil {
		return err
	}
	return e.store.Apply(ctx, append(more, change, note)...)
}

// GetGrant returns a grant; who may see it is the caller's to decide.
func (e *Engine) GetGrant(ctx context.Context, id string) (*Grant, error) {
	g, err := readGrant(ctx, e.store, id)
	return g.Grant, failed(ctx, err)
}
