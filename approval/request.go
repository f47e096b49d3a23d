package approval

import (
	"context"
	"errors"
	"regexp"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// askedKeeps is how much longer than its request the item is kept that finds it.
const askedKeeps = time.Hour

// idLength is how long [store.NewID]'s are.
const idLength = 26

// Defaults of terms that say nothing.
const (
	defaultWithin = 15 * time.Minute
	defaultLasts  = time.Hour
)

// request returns the pending request of a call: the one that the same call has
// made before, on whatever replica, or a new one. It is nil where there is a
// grant after all. The store is asked also when the caller's deadline is near:
// what he gets then is the id.
func (e *Engine) request(ctx context.Context, a *Ask, m missing) (*Request, error) {
	t := m.need.Terms
	r := &Request{
		Source: FromGuard, Requester: personOf(a.Principal),
		Verb: a.Verb.String(), Model: a.Model, Version: said(a.Version, maxShown), Backend: a.Backend,
		Digest: m.key.String(), Along: m.need.Along, Guard: m.need.Guard, Definition: key(m.need.Definition).String(),
		By: t.By, Count: max(t.Count, 1), Within: t.Within, Lasts: t.Grant, Mode: t.Mode, Scope: t.Scope, Uses: t.Uses,
		Reason: said(a.Reason, maxReason), Ticket: said(a.Ticket, maxTicket), Origin: a.Origin,
	}
	if r.Within <= 0 {
		r.Within = defaultWithin
	}
	if r.Lasts <= 0 {
		r.Lasts = defaultLasts
	}
	ctx, cancel := store.Bound(context.WithoutCancel(ctx))
	defer cancel()
	granted := func() bool { return e.find(m.key) != nil }
	found, err := e.ask(ctx, r, granted, func() *access.Error {
		if t.Scope != access.ScopeModel && a.Show != nil {
			r.Covers = a.Show()
			r.Covers.metadata(m.need.Metadata)
			if refused := r.Covers.check(r.Verb, r.Model); refused != nil {
				return refused
			}
		}
		return checkTerms(r, t.Reason, t.Ticket)
	})
	if found != nil {
		found.Covers = nil // kept, and not for as long as the call is held
	}
	return found, failed(ctx, err)
}

// ask finds the last request with r's digest or makes r, of which complete is
// asked first; nil where there is a grant already. Of two that ask at once, one
// makes it and the other finds it.
func (e *Engine) ask(ctx context.Context, r *Request, granted func() bool, complete func() *access.Error) (*Request, error) {
	for range attempts {
		last, err := e.store.Get(ctx, KindAsked, r.Digest)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			found, err := e.last(ctx, string(last.Body), r.Digest)
			if found != nil || err != nil {
				return found, err
			}
			if granted() {
				return nil, nil
			}
		}
		if refused := complete(); refused != nil {
			return nil, refused
		}
		err = e.make(ctx, r, last.Revision)
		if !errors.Is(err, store.ErrConflict) {
			return r, err
		}
	}
	return nil, store.ErrConflict
}

// last returns a request that is pending still. One that was denied refuses the
// same call until its time would have been over: who does not like an answer
// does not get another one by asking again. The grant of one that was approved
// is read, wherever it was given. One for another digest says nothing about this one.
func (e *Engine) last(ctx context.Context, id, digest string) (*Request, error) {
	if len(id) != idLength {
		return nil, nil // written by a gateway with a key
	}
	r, err := readRequest(ctx, e.store, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if r.Digest != digest {
		return nil, nil
	}
	open := e.clock.now().Before(r.Expires)
	switch {
	case r.State == Pending && open:
		return r.Request, nil
	case r.State == Pending:
		return nil, e.endRequest(ctx, r, Expired)
	case r.State == Denied && open:
		return nil, undecided(r.Request)
	case r.State == Approved:
		return nil, e.refreshGrant(ctx, r.Grant)
	}
	return nil, nil
}

// make writes a new request, the item that finds it, and the notification.
func (e *Engine) make(ctx context.Context, r *Request, revision int64) error {
	if err := e.checkPending(ctx, r.Requester.ID()); err != nil {
		return err
	}
	now := e.clock.now()
	r.ID, r.State, r.Created, r.Expires = store.NewID(now), Pending, store.Millis(now), store.Millis(now.Add(r.Within))
	asked := store.Change{Item: store.Item{
		Kind: KindAsked, ID: r.Digest, Revision: revision, Owner: Owner(r.Requester.ID()),
		Expires: r.Expires.Add(askedKeeps), Body: []byte(r.ID),
	}}
	return e.applyRequest(ctx, request{r, 0}, noticeOf(r, access.EventRequested), asked)
}

// checkPending bounds how many requests a principal has open at once. Those that
// he took back count for a while: people were told of each.
func (e *Engine) checkPending(ctx context.Context, requester string) error {
	most := e.config.PendingPerPrincipal
	open, err := e.store.List(ctx, store.Query{Kind: KindRequest, Owner: Owner(requester), State: string(Pending), Limit: most})
	if err != nil {
		return err
	}
	back, err := e.store.List(ctx, store.Query{
		Kind: KindRequest, Owner: Owner(requester), State: string(Cancelled), Limit: most, After: store.NewID(e.clock.now().Add(-defaultWithin)),
	})
	if err != nil {
		return err
	}
	if len(open)+len(back) >= most {
		return tooMany("%d requests of yours are open, which is as many as may; let people decide on those, or take some back (sluice approvals list --mine)", most)
	}
	return nil
}

// checkTerms refuses a request that lacks what its approvers want to read.
func checkTerms(r *Request, reason bool, ticket string) *access.Error {
	if reason && r.Reason == "" {
		return needs(access.ReasonApprovalTerms, "%s needs approval, and a reason to ask for it; send it as metadata sluice-reason", act(r.Verb, r.Model))
	}
	if ticket == "" {
		return nil
	}
	expression, err := regexp.Compile(`\A(?:` + ticket + `)\z`)
	if err != nil {
		return &access.Error{Kind: access.Internal, Reason: access.ReasonInternal, Message: "internal error; the gateway's log says more", Cause: err}
	}
	if !expression.MatchString(r.Ticket) {
		return needs(access.ReasonApprovalTerms, "%s needs approval, and a ticket of the form %s; send it as metadata sluice-ticket", act(r.Verb, r.Model), access.Quote(ticket))
	}
	return nil
}

// noticeOf is what people are told of a request.
func noticeOf(r *Request, event access.Event) *access.Notification {
	return &access.Notification{
		Event: event, Request: r.ID, Grant: r.Grant,
		Requester: r.Requester.ID(), RequesterName: r.Requester.Name, Verb: r.Verb, Model: r.Model,
		Reason: r.Reason, Ticket: r.Ticket, Guard: r.Guard, By: r.By, Expires: r.Expires,
	}
}
