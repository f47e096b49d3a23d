package approval

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// Answer is what an approver says.
type Answer struct {
	Reason string
	// Digest, if not empty, is that of the request which was looked at: nothing
	// happens if it is another.
	Digest string
	// For, if not zero, is how long the grant lasts: not longer than was asked for.
	For time.Duration
}

// Approve adds who's approval to a request. When it was the last one that was
// needed, the grant is there and held calls go on. The request is as it is now,
// also beside an error that says that others were faster.
func (e *Engine) Approve(ctx context.Context, who *access.Principal, id string, a Answer) (*Request, error) {
	return e.vote(ctx, who, id, a, word{(*Request).MayApprove, (*Engine).approve})
}

// Deny denies a pending request, whatever others have said before. The same call
// is refused until the request would have expired. The requester takes back his
// own so, and may ask again.
func (e *Engine) Deny(ctx context.Context, who *access.Principal, id string, a Answer) (*Request, error) {
	return e.vote(ctx, who, id, a, word{(*Request).mayDeny, (*Engine).deny})
}

// word is what somebody says: who may, and what it makes of the request.
type word struct {
	may func(r *Request, who *access.Principal) *access.Error
	say func(e *Engine, r request, v Vote) (outcome, error)
}

// outcome is what is written beside the request.
type outcome struct {
	notice *access.Notification
	more   []store.Change
}

// vote lets who speak on a request. Of several that speak at once each is heard
// after the other, and who comes after the last word is told what that was.
func (e *Engine) vote(ctx context.Context, who *access.Principal, id string, a Answer, say word) (*Request, error) {
	if err := e.present(who); err != nil {
		return nil, err
	}
	for range attempts {
		r, err := readRequest(ctx, e.store, id)
		if err != nil {
			return nil, failed(ctx, err)
		}
		if refused := say.may(r.Request, who); refused != nil {
			return nil, refused
		}
		if err := e.open(ctx, r, a); err != nil {
			return r.Request, err
		}
		o, err := say.say(e, r, Vote{By: personOf(who), Groups: who.Groups, At: e.clock.now(), Reason: said(a.Reason, maxReason), For: a.For})
		if err != nil {
			return r.Request, err
		}
		err = e.applyRequest(ctx, r, o.notice, o.more...)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, failed(ctx, err)
		}
		e.voted(ctx, r, who)
		return r.Request, nil
	}
	return nil, failed(ctx, store.ErrConflict)
}

// voted lets this replica know at once; the others hear of it from the store.
func (e *Engine) voted(ctx context.Context, r request, who *access.Principal) {
	e.log.LogAttrs(ctx, slog.LevelInfo, "approval", slog.String("request", r.ID), slog.String("state", string(r.State)), slog.String("by", who.ID()))
	if err := e.learn(context.WithoutCancel(ctx), r); err != nil {
		e.log.LogAttrs(ctx, slog.LevelWarn, "approvals: a decision is written, and is not heard of here before the store answers", slog.Any("error", err))
	}
}

// present refuses who is nobody, or was who he is until a while ago.
func (e *Engine) present(who *access.Principal) error {
	switch {
	case who == nil:
		return &access.Error{Kind: access.Unauthenticated, Reason: access.ReasonTokenMissing, Message: "no identity; send authorization: Bearer TOKEN"}
	case !who.Expires.IsZero() && !e.clock.now().Before(who.Expires):
		return &access.Error{Kind: access.Unauthenticated, Reason: access.ReasonTokenExpired, Message: "the token has expired; get a new one"}
	}
	return nil
}

// open refuses a vote on a request that is not pending any more, or is another
// than the one that was looked at.
func (e *Engine) open(ctx context.Context, r request, a Answer) error {
	now := e.clock.now()
	switch {
	case a.Digest != "" && !strings.EqualFold(a.Digest, r.Digest):
		return needs(access.ReasonConflict, "request %s is not the one that you have looked at; look at it again", r.ID)
	case r.State != Pending:
		return decided(r.Request)
	case now.Before(r.Created.Add(-slack)):
		return needs(access.ReasonApprovalExpired, "request %s was made at %s, which is yet to come by this gateway's clock; an administrator has to set the clock right", r.ID, r.Created.UTC().Format(time.RFC3339))
	case !now.Before(r.Expires):
		return e.close(ctx, r, Expired)
	case !e.rules.Load().holds(r.Source, r.Guard, parseKey(r.Definition)):
		return e.close(ctx, r, Void)
	}
	return nil
}

// close ends a request that can't be decided any more, and says so, or what
// somebody else was faster with.
func (e *Engine) close(ctx context.Context, r request, state State) error {
	if err := e.endRequest(ctx, r, state); err != nil {
		return failed(ctx, err)
	}
	now, err := readRequest(ctx, e.store, r.ID)
	if err != nil {
		return failed(ctx, err)
	}
	*r.Request = *now.Request
	return decided(r.Request)
}

// decided says to who comes late what the last word was; to everybody the same.
func decided(r *Request) *access.Error {
	switch r.State {
	case Approved:
		by := make([]string, 0, len(r.Approvals))
		for i := range r.Approvals {
			by = append(by, voter(&r.Approvals[i]))
		}
		return needs(access.ReasonConflict, "request %s is approved already, by %s; to take that back: sluice grants revoke %s", r.ID, strings.Join(by, " and "), r.Grant)
	case Denied:
		return needs(access.ReasonApprovalDenied, "request %s is denied already, by %s%s", r.ID, voter(r.Denial), because(r.Denial))
	case Cancelled:
		return needs(access.ReasonApprovalDenied, "request %s was taken back by who made it", r.ID)
	case Void:
		return needs(access.ReasonApprovalVoid, "request %s is void: the rule that it was made by has changed; who made it has to ask again", r.ID)
	}
	return needs(access.ReasonApprovalExpired, "request %s has expired: nobody decided within %v; who made it has to ask again", r.ID, r.Within)
}

// MayApprove says why who may not approve or deny the request, whatever his
// rights: nil if he may. It does not look at the request's state.
func (r *Request) MayApprove(who *access.Principal) *access.Error {
	switch {
	case who == nil || who.Kind != access.User:
		return forbidden(access.ReasonNotApprover, "only people approve and deny, not services")
	case r.Requester.Is(who):
		return forbidden(access.ReasonNotApprover, "request %s is yours; somebody else has to decide", r.ID)
	case !inGroups(who, r.By):
		return forbidden(access.ReasonNotApprover, "request %s is for %s to decide", r.ID, people(r))
	}
	return nil
}

// mayDeny is MayApprove, save that everybody may take back what is his.
func (r *Request) mayDeny(who *access.Principal) *access.Error {
	if r.Requester.Is(who) {
		return nil
	}
	return r.MayApprove(who)
}

// counts tells whether an approval counts still: its giver may approve on the model,
// in the groups that he was in. That these decide is in the guard's or the entry's
// definition, with which the request would have ended.
func (e *Engine) counts(model string, v *Vote) bool {
	return e.mayApprove(&access.Principal{Issuer: v.By.Issuer, Subject: v.By.Subject, Name: v.By.Name, Kind: v.By.Kind, Groups: v.Groups}, model)
}

// allCount tells whether each of a grant's approvals counts still.
func (e *Engine) allCount(g *Grant) bool {
	for i := range g.Approvals {
		if !e.counts(g.Model, &g.Approvals[i]) {
			return false
		}
	}
	return true
}

// approve is one more approval. Those that do not count any more are left out, so that
// it may take another person.
func (e *Engine) approve(r request, v Vote) (o outcome, err error) {
	if !e.counts(r.Model, &v) {
		return o, forbidden(access.ReasonNotApprover, "you may not approve request %s; ask an administrator of this gateway", r.ID)
	}
	r.Approvals = slices.DeleteFunc(r.Approvals, func(earlier Vote) bool { return !e.counts(r.Model, &earlier) })
	if slices.ContainsFunc(r.Approvals, func(earlier Vote) bool { return earlier.By.same(v.By) }) {
		return o, needs(access.ReasonConflict, "you have approved request %s already; %d of %d people have", r.ID, len(r.Approvals), r.Count)
	}
	if v.For < 0 || v.For > r.Lasts {
		return o, needs(access.ReasonConflict, "request %s is for %v; it can't be approved for longer, nor for less than no time", r.ID, r.Lasts)
	}
	r.Approvals = append(r.Approvals, v)
	if len(r.Approvals) < r.Count {
		return o, nil
	}
	g := grantOf(r.Request, e.clock.now())
	r.State, r.Ended, r.Grant = Approved, g.Granted, g.ID
	change, err := e.changeGrant(grant{g, 0})
	o.more = []store.Change{change}
	o.notice = noticeOf(r.Request, access.EventApproved)
	o.notice.Actor, o.notice.ActorName, o.notice.Expires = v.By.ID(), v.By.Name, g.Until
	return o, err
}

// grantOf is the grant that a request's approvals make: it lasts as long as the
// one who gives the least wants.
func grantOf(r *Request, now time.Time) *Grant {
	lasts := r.Lasts
	for _, v := range r.Approvals {
		if v.For > 0 {
			lasts = min(lasts, v.For)
		}
	}
	now = store.Millis(now)
	return &Grant{
		ID: store.NewID(now), Source: r.Source, State: Live, Holder: r.Requester, For: r.For, Request: r.ID,
		Guard: r.Guard, Definition: r.Definition, Verb: r.Verb, Model: r.Model, Version: r.Version, Scope: r.Scope,
		Key: r.Digest, By: r.By, Approvals: r.Approvals, Reason: r.Reason, Ticket: r.Ticket, Uses: r.Uses,
		Granted: now, Until: store.Millis(now.Add(lasts)),
	}
}

// deny is the last word; of the requester himself, that he does not want it any
// more.
func (e *Engine) deny(r request, v Vote) (o outcome, err error) {
	r.State = Denied
	if r.Requester.same(v.By) {
		r.State = Cancelled
	}
	r.Ended, r.Denial = e.clock.now(), &v
	o.notice = noticeOf(r.Request, access.EventDenied)
	o.notice.Actor, o.notice.ActorName, o.notice.Reason = v.By.ID(), v.By.Name, v.Reason
	return o, nil
}
