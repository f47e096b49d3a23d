package approval

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// Want is access that is asked for ahead.
type Want struct {
	Verb  access.Verb
	Model string
	// For is how long the grant is to last; 0 is as long as may be.
	For            time.Duration
	Reason, Ticket string
}

// RequestAccess asks for what no role gives: where an access entry lets who ask,
// the request is pending. The same question again returns the same request, also
// once it is approved and its grant lives.
func (e *Engine) RequestAccess(ctx context.Context, who *access.Principal, w Want) (*Request, error) {
	if err := e.present(who); err != nil {
		return nil, err
	}
	rule, refused := e.rules.Load().Access.match(who, &w)
	if refused != nil {
		return nil, refused
	}
	if w.For == 0 {
		w.For = rule.Max
	}
	k := aheadKey(who, &w, rule.definition)
	r := &Request{
		Source: FromAccess, Requester: personOf(who), For: rule.For, Verb: w.Verb.String(), Model: w.Model,
		Digest: k.String(), Definition: rule.definition.String(), By: rule.By, Count: rule.Count,
		Within: rule.Within, Lasts: w.For, Scope: access.ScopeModel,
		Reason: said(w.Reason, maxReason), Ticket: said(w.Ticket, maxTicket),
	}
	if refused := e.waiting.enter(who); refused != nil { // one at a time bounds how many are made at once
		return nil, refused
	}
	defer e.waiting.leave(who)
	granted := func() bool { return e.granted(who, k) }
	found, err := e.ask(ctx, r, granted, func() *access.Error { return checkTerms(r, rule.reason, rule.Ticket) })
	if found != nil || err != nil {
		return found, failed(ctx, err)
	}
	last, err := e.store.Get(ctx, KindAsked, r.Digest)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return e.Get(ctx, string(last.Body))
}

// granted tells whether who has a grant of that key that he may use.
func (e *Engine) granted(who *access.Principal, k key) bool {
	for _, l := range e.mirror.held(who) {
		if l.key == k && e.aheadHolds(l, who) {
			return true
		}
	}
	return false
}

// MayAsk tells whether an access entry lets who ask for verb on model, so that a
// refusal can say so.
func (e *Engine) MayAsk(who *access.Principal, verb access.Verb, model string) bool {
	_, refused := e.rules.Load().Access.match(who, &Want{Verb: verb, Model: model})
	return refused == nil
}

// BreakGlass gives who a grant at once, if he may and has not done so too often. It
// lets him through where no role does and where guards ask for approval, and is
// loud: notified, logged, and marked in each record. A guard or role that denies
// still does.
func (e *Engine) BreakGlass(ctx context.Context, who *access.Principal, w Want) (*Grant, error) {
	if err := e.present(who); err != nil {
		return nil, err
	}
	if refused := e.checkGlass(who, &w); refused != nil {
		return nil, refused
	}
	for range attempts {
		now := store.Millis(e.clock.now())
		count, err := e.countGlass(ctx, who, now)
		if err != nil {
			return nil, failed(ctx, err)
		}
		g := &Grant{
			ID: store.NewID(now), Source: FromBreakGlass, State: Live, Holder: personOf(who),
			Verb: w.Verb.String(), Model: w.Model, Scope: access.ScopeModel,
			Reason: said(w.Reason, maxReason), Ticket: said(w.Ticket, maxTicket),
			Granted: now, Until: store.Millis(now.Add(w.For)),
		}
		err = e.applyGrant(ctx, grant{g, 0}, access.EventBreakGlass, who, g.Reason, count)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, failed(ctx, err)
		}
		e.log.LogAttrs(ctx, slog.LevelWarn, "break-glass", slog.String("principal", who.ID()), slog.String("name", who.Name), slog.String("verb", g.Verb),
			slog.String("model", g.Model), slog.String("grant", g.ID), slog.Duration("for", w.For), slog.String("reason", g.Reason))
		e.mirror.put(grant{g, 1}, &e.clock, e.clock.passed())
		return g, nil
	}
	return nil, failed(ctx, store.ErrConflict)
}

// checkGlass refuses break-glass to who may not, and what it can't be for.
func (e *Engine) checkGlass(who *access.Principal, w *Want) *access.Error {
	most := e.config.BreakGlass.Max
	if w.For == 0 {
		w.For = most
	}
	switch {
	case !w.Verb.InStar():
		return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: "break-glass is for verbs on models, and not for shm"}
	case w.Model != "" && whole(w.Verb):
		return noModel(w.Verb)
	case w.Model != "" && access.CheckModelName(w.Model) != nil:
		return access.CheckModelName(w.Model)
	case who.Kind != access.User:
		return forbidden(access.ReasonNotApprover, "only people break the glass, not services")
	case !e.mayBreakGlass(who, w.Model):
		return forbidden(access.ReasonNoRole, "break-glass needs a role with the verb break_glass on the model; ask an administrator of this gateway")
	case said(w.Reason, maxReason) == "":
		return needs(access.ReasonApprovalTerms, "break-glass needs a reason; give it with --reason")
	case w.For < 0 || w.For > most:
		return needs(access.ReasonApprovalTerms, "break-glass lasts at most %v; ask for less with --for", most)
	}
	return nil
}

// glassDay is the time in which break-glass is counted.
const glassDay = 24 * time.Hour

// glassCount is when somebody broke the glass, the last time last.
type glassCount struct {
	At []time.Time `json:"at"`
}

// countGlass counts one more break-glass of who, or refuses it. The count changes
// together with the grant that it is for, so that of two at once both count.
// Times in the future count: a clock that was set back gives nothing.
func (e *Engine) countGlass(ctx context.Context, who *access.Principal, now time.Time) (store.Change, error) {
	owner := Owner(who.ID())
	item := store.Item{Kind: KindBreakGlass, ID: owner, Owner: owner, Expires: now.Add(glassDay)}
	before, err := e.store.Get(ctx, KindBreakGlass, owner)
	counted := new(glassCount)
	if err == nil {
		counted, err = decode[glassCount](&before)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.Change{}, err
	}
	item.Revision = before.Revision
	var lately []time.Time
	for _, at := range counted.At {
		if now.Sub(at) < glassDay {
			lately = append(lately, at)
		}
		if ends := at.Add(glassDay); ends.After(item.Expires) {
			item.Expires = ends // of a clock that was set back: others keep the count as long as ever
		}
	}
	if most := e.config.BreakGlass.PerPrincipal; len(lately) >= most {
		return store.Change{}, tooMany("you have broken the glass %d times within 24 hours, which is as often as may be; ask an approver or an administrator", len(lately))
	}
	return encode(item, glassCount{append(lately, now)})
}
