package policy

import (
	"sync/atomic"

	"github.com/sluice-gateway/sluice/access"
)

// Engine holds the policy in force. All its methods are safe for concurrent
// use; each call is answered by one policy from beginning to end. The zero
// Engine has no policy and denies everything.
type Engine struct{ policy atomic.Pointer[Policy] }

// NewEngine returns an engine with p in force.
func NewEngine(p *Policy) *Engine {
	e := &Engine{}
	e.Replace(p)
	return e
}

// Replace puts p in force: calls that ask from now on are decided by it.
func (e *Engine) Replace(p *Policy) { e.policy.Store(p) }

// Policy returns the policy in force, nil if there is none.
func (e *Engine) Policy() *Policy { return e.policy.Load() }

// Decide is [Policy.Decide] of the policy in force.
func (e *Engine) Decide(who *access.Principal, verb access.Verb, model string) access.Decision {
	return e.Policy().Decide(who, verb, model)
}

// Visible is [Policy.Visible] of the policy in force.
func (e *Engine) Visible(who *access.Principal, model string) bool {
	return e.Policy().Visible(who, model)
}

// RolesFor is [Policy.RolesFor] of the policy in force.
func (e *Engine) RolesFor(verb access.Verb, model string, limit int) (names []string, all int) {
	return e.Policy().RolesFor(verb, model, limit)
}

// Refusal is [Policy.Refusal] of the policy in force.
func (e *Engine) Refusal(who *access.Principal, verb access.Verb, model string, d access.Decision) *access.Error {
	return e.Policy().Refusal(who, verb, model, d)
}
