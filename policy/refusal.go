package policy

import (
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// maxOffered is how many roles a refusal offers.
const maxOffered = 3

// RolesFor returns the names of the roles that would allow verb on model to
// someone who held no other role: at most limit of them, sorted, and how many
// there are in all. It says nothing about who could be given them.
func (p *Policy) RolesFor(verb access.Verb, model string, limit int) (names []string, all int) {
	if p == nil || verb == access.None || int(verb) >= access.NumVerbs {
		return nil, 0
	}
	set, denied := newBitset(len(p.roles)), newBitset(len(p.roles))
	p.allow.ask(&probe{want: setOf(verb), into: set}, verb, model, allowByStar)
	p.deny.ask(&probe{want: setOf(verb), into: denied}, verb, model, denyByStar)
	for i := range set {
		set[i] &^= denied[i]
	}
	members := set.members()
	for _, r := range members[:min(limit, len(members))] {
		names = append(names, p.roles[r].name)
	}
	return names, len(members)
}

// Refusal turns a decision against the caller into what the caller sees: who
// was refused what, and what to do next. It is the same text whether the
// model exists or not, and does not name the role that denied. The result is
// nil if d allows.
func (p *Policy) Refusal(who *access.Principal, verb access.Verb, model string, d access.Decision) *access.Error {
	if d.Allowed {
		return nil
	}
	return &access.Error{
		Kind:    access.PermissionDenied,
		Reason:  d.Reason,
		Message: fmt.Sprintf("%s may not %s: %s", shownPrincipal(who), shownAct(verb, model), p.nextStep(verb, model, d)),
	}
}

// nextStep says what the caller can do about it. Against a deny there is
// nothing to ask for, and which role it is in is the record's to know.
func (p *Policy) nextStep(verb access.Verb, model string, d access.Decision) string {
	if d.Reason == access.ReasonDeniedByRole {
		return "a role that you hold denies it, and no other role can change that; ask an administrator of this gateway"
	}
	names, all := p.RolesFor(verb, model, maxOffered)
	switch {
	case all == 0:
		return "no role of this gateway allows it; ask an administrator for one that does"
	case all == 1:
		return fmt.Sprintf("role %s allows it; ask for role %s", names[0], names[0])
	case all > len(names):
		names = append(names, fmt.Sprintf("%d more", all-len(names)))
	}
	last := len(names) - 1
	return fmt.Sprintf("roles %s and %s allow it; ask for one of them", strings.Join(names[:last], ", "), names[last])
}

func shownPrincipal(who *access.Principal) string {
	if who == nil {
		return "a caller without identity"
	}
	id := who.ID()
	if who.Issuer == "" {
		id = who.Subject // as in tests and questions; identity always knows one
	}
	if who.Name == "" || who.Name == id {
		return "principal " + access.Quote(id)
	}
	return fmt.Sprintf("principal %s (%s)", access.Quote(who.Name), access.Quote(id))
}

// shownAct names the model only where the verb is about one.
func shownAct(verb access.Verb, model string) string {
	switch {
	case wholeVerbs.has(verb):
		return fmt.Sprintf("use verb %s", verb)
	case model == "":
		return fmt.Sprintf("use verb %s on all models", verb)
	}
	return fmt.Sprintf("use verb %s on model %s", verb, access.Quote(model))
}
