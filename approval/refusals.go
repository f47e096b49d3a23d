package approval

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

func contains(all []string, s string) bool { return slices.Contains(all, s) }

// needs is a refusal of what people have to agree to first.
func needs(reason, format string, args ...any) *access.Error {
	return &access.Error{Kind: access.NeedsApproval, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func forbidden(reason, format string, args ...any) *access.Error {
	return &access.Error{Kind: access.PermissionDenied, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func tooMany(format string, args ...any) *access.Error {
	return &access.Error{Kind: access.Exhausted, Reason: access.ReasonApprovalPending, RetryAfter: time.Minute, Message: fmt.Sprintf(format, args...)}
}

// act names what a request is about.
func act(verb, model string) string {
	if model == "" {
		return "verb " + verb + " on all models"
	}
	return "verb " + verb + " on model " + access.Quote(model)
}

// needed is the refusal of a call that can't wait.
func needed(requests []*Request) *access.Error {
	r := requests[0]
	text := fmt.Sprintf("%s needs approval by %s: %s", act(r.Verb, r.Model), people(r), ids(requests))
	for _, r := range requests {
		text += "; follow it with: sluice approvals show " + r.ID
	}
	return needs(access.ReasonNeedsApproval, "%s; repeat the same call once it is approved", text)
}

// people says who may approve.
func people(r *Request) string {
	groups := "group " + strings.Join(r.By, " or ")
	if r.Count > 1 {
		return fmt.Sprintf("%d people of %s", r.Count, groups)
	}
	return groups
}

// undecided is what a call gets whose request is over without an approval.
func undecided(r *Request) *access.Error {
	switch r.State {
	case Denied:
		return needs(access.ReasonApprovalDenied, "request %s was denied by %s%s; the same call is refused until %s", r.ID, voter(r.Denial), because(r.Denial), r.Expires.UTC().Format(time.RFC3339))
	case Cancelled:
		return needs(access.ReasonApprovalDenied, "request %s was taken back by who made it", r.ID)
	case Void:
		return needs(access.ReasonApprovalVoid, "request %s is void: the rule that asked for approval has changed; repeat the call", r.ID)
	}
	return needs(access.ReasonApprovalExpired, "request %s expired: nobody decided within %v; repeat the call to ask again", r.ID, r.Within)
}

func voter(v *Vote) string {
	if v == nil {
		return "somebody"
	}
	if v.By.Name != "" {
		return access.Quote(v.By.Name)
	}
	return access.Quote(v.By.ID())
}

func because(v *Vote) string {
	if v == nil || v.Reason == "" {
		return ""
	}
	return " (" + access.Quote(v.Reason) + ")"
}

// interrupted is what a held call gets when the gateway stops.
func interrupted(requests string) *access.Error {
	if requests != "" {
		requests = " (" + requests + ")"
	}
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonInterrupted, RetryAfter: time.Second,
		Message: "the gateway stops while the call waits for approval" + requests + "; repeat the call: it joins the same request, and goes on if that was approved",
	}
}
