package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy/guard"
)

// Verdict is what rules say to one call, without any grant that people have given.
type Verdict struct {
	// Decision is what the roles say. Guards are asked about what roles allow only.
	Decision access.Decision
	Guards   guard.Verdict
	// Ahead are the groups that would agree if the caller asked ahead for what his roles
	// deny; nil where he may not ask.
	Ahead []string
}

// Judge decides a call as the gateway would.
func (r *Rules) Judge(call *guard.Request) *Verdict {
	v := &Verdict{Decision: r.Policy.Decide(call.Principal, call.Verb, call.Model)}
	if v.Decision.Allowed {
		v.Guards = r.Guards.For(call.Verb, call.Model).Decide(call)
	} else {
		v.Ahead = r.Asking.Approvers(call.Principal, call.Verb, call.Model)
	}
	return v
}

// Denied tells that the call is refused.
func (v *Verdict) Denied() bool { return !v.Decision.Allowed || v.Guards.Refused != nil }

// Held tells that the call goes on once people have agreed.
func (v *Verdict) Held() bool { return !v.Denied() && len(v.Guards.Needs) > 0 }

// Names are the guards that decide: the one that denies, or those that ask for
// approval.
func (v *Verdict) Names() (names []string) {
	if v.Guards.Refused != nil {
		return []string{v.Guards.Guard}
	}
	for _, n := range v.Guards.Needs {
		names = append(names, n.Guard)
	}
	return names
}

// By are the groups that are asked: to approve a call that is held, or access to one
// that roles deny. They are sorted.
func (v *Verdict) By() []string {
	groups := slices.Clone(v.Ahead)
	for _, n := range v.Guards.Needs {
		groups = append(groups, n.Terms.By...)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// Rule names what decides, for people.
func (v *Verdict) Rule() string {
	switch refused := v.Guards.Refused; {
	case refused != nil && refused.Reason == access.ReasonGuardFailed:
		return fmt.Sprintf("guard %s can't decide: %v", v.Guards.Guard, refused.Cause)
	case refused != nil || len(v.Guards.Needs) > 0:
		return "guard " + strings.Join(v.Names(), ", guard ")
	}
	return v.Decision.Rule
}
