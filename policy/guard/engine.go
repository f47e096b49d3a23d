package guard

import (
	"sync/atomic"

	"github.com/sluice-gateway/sluice/access"
)

// Engine holds the policy in force. All its methods are safe for concurrent
// use. The zero Engine has no guards: who serves has a policy.
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

// For is [Policy.For] of the policy in force.
func (e *Engine) For(verb access.Verb, model string) *Set { return e.Policy().For(verb, model) }
