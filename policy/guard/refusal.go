package guard

import (
	"errors"
	"fmt"

	"github.com/sluice-gateway/sluice/access"
)

// denied is what the caller of a denied request sees: the guard's reason, and what
// to do. It is the same whether the model exists or not.
func (a *asking) denied(g *guard, model string) *access.Error {
	return &access.Error{
		Kind: access.PermissionDenied, Reason: access.ReasonGuard,
		Message: fmt.Sprintf("guard %s denies %s to %s: %s; send a request that it allows, or ask an administrator of this gateway",
			g.Name, a.shownAct(model), shownPrincipal(a.read.r.Principal), g.Deny),
	}
}

// failed is what is said where a guard could not decide. Nobody gets through
// because of that.
func (a *asking) failed(g *guard, err error) *access.Error {
	var why *failure
	if !errors.As(err, &why) {
		why = &failure{errExpression.Error()}
	}
	return &access.Error{
		Kind: access.PermissionDenied, Reason: access.ReasonGuardFailed,
		Message: fmt.Sprintf("guard %s can't decide about %s to %s, which is a no: %s", g.Name, a.shownAct(a.read.r.Model), shownPrincipal(a.read.r.Principal), why),
		Cause:   why,
	}
}

func (a *asking) shownAct(model string) string {
	if model == "" || wholeVerb(a.read.r.Verb) {
		return fmt.Sprintf("verb %s", a.read.r.Verb)
	}
	return fmt.Sprintf("verb %s on model %s", a.read.r.Verb, access.Quote(model))
}

func shownPrincipal(who *access.Principal) string {
	switch {
	case who == nil:
		return "a caller without identity"
	case who.Name == "":
		return "principal " + access.Quote(who.ID())
	}
	return fmt.Sprintf("principal %s (%s)", access.Quote(who.Name), access.Quote(who.ID()))
}
