package approval

import (
	"context"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// Ask is a call, or one message of a stream, that needs approval.
type Ask struct {
	Principal *access.Principal
	Verb      access.Verb
	// Model, Version and Backend are as asked for: the public name, the version as
	// it was written, and the backend that has the model.
	Model, Version, Backend string
	// Needs are what guards ask for; there is at least one.
	Needs []*access.Need
	// Digest is of the call's content (see [DigestInfer]); a need of scope model
	// leaves it out.
	Digest [32]byte
	// Reason and Ticket are what the requester says for it.
	Reason, Ticket string
	// Origin is where the call came from.
	Origin Origin
	// Show makes what the approver sees; it is called where a request is made.
	Show func() *Summary
	// Recheck decides the call again when it has waited: token, policy, guards. It
	// returns what is needed now; an error ends the call.
	Recheck func() ([]*access.Need, error)
}

// missing is a need that no grant meets yet.
type missing struct {
	need *access.Need
	key  key
}

// Admit lets a call through that has all the grants it needs, and uses them.
// Else it makes a request for each that is missing, or joins the one that the
// same call made before, and waits for people; where it can't wait (mode ask, a
// deadline that is too near), the error is FAILED_PRECONDITION with the requests'
// ids. Where ctx ends first, it is ctx's error. The approval is what let the call
// through or, beside an error, what it waited for; it may be nil then.
func (e *Engine) Admit(ctx context.Context, a *Ask) (*access.Approval, error) {
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	approval, without, err := e.pass(ctx, a, a.Needs)
	if err != nil || len(without) == 0 {
		return approval, err
	}
	if refused := e.waiting.enter(a.Principal); refused != nil {
		return nil, refused
	}
	defer e.waiting.leave(a.Principal)
	return e.hold(ctx, a, without)
}

// ready waits, for a little, until the store was read.
func (e *Engine) ready(ctx context.Context) error {
	select {
	case <-e.loaded:
		return nil
	default:
	}
	timer := time.NewTimer(store.Timeout)
	defer timer.Stop()
	select {
	case <-e.loaded:
		return nil
	case <-timer.C:
		return away(nil)
	case <-e.stopped:
		return interrupted("")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pass lets a call through whose needs are all met by grants, and uses those.
// Else it returns what is missing.
func (e *Engine) pass(ctx context.Context, a *Ask, needs []*access.Need) (*access.Approval, []missing, error) {
	for range attempts {
		var without []missing
		var grants []*live
		for _, n := range needs {
			k := a.key(n)
			if l := e.find(k); l != nil {
				grants = append(grants, l)
			} else if glass := e.glassFor(a, n); glass != nil {
				grants = append(grants, glass...)
			} else {
				without = append(without, missing{n, k})
			}
		}
		if len(without) > 0 {
			return nil, without, nil
		}
		switch used, err := e.use(ctx, grants); {
		case err != nil:
			return nil, nil, failed(ctx, err)
		case used:
			return approvalOf(grants), nil, nil
		}
	}
	return nil, nil, failed(ctx, store.ErrConflict)
}

// find is a grant for k that may be used now.
func (e *Engine) find(k key) *live {
	for _, l := range e.mirror.of(k) {
		if e.usable(l) && e.allCount(l.Grant) {
			return l
		}
	}
	return nil
}

// approvalOf is what a call is noted with that used these grants.
func approvalOf(grants []*live) *access.Approval {
	all := &access.Approval{}
	for _, l := range grants {
		all = Merge(all, l.approval)
	}
	return all
}

// Merge is two approvals of one call as one: ids stand behind each other, with a
// comma between them. Either may be nil; neither is written to.
func Merge(a, b *access.Approval) *access.Approval {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	out := &access.Approval{
		Request: listed(a.Request, b.Request), Grant: listed(a.Grant, b.Grant),
		BreakGlass: a.BreakGlass || b.BreakGlass, Waited: a.Waited + b.Waited,
	}
	out.Approvers = append(out.Approvers, a.Approvers...)
	for _, id := range b.Approvers {
		if !contains(a.Approvers, id) {
			out.Approvers = append(out.Approvers, id)
		}
	}
	return out
}

// Split returns the ids in one that [Merge] has made.
func Split(ids string) []string {
	if ids == "" {
		return nil
	}
	return strings.Split(ids, ", ")
}

// listed adds an id to a list of ids, once.
func listed(ids, id string) string {
	switch {
	case ids == "":
		return id
	case id == "" || contains(Split(ids), id):
		return ids
	}
	return ids + ", " + id
}
