package masking

import (
	"slices"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/access"
)

// Engine holds the policy in force. All its methods are safe for concurrent
// use. The zero Engine has no policy and masks nothing: who serves has one.
type Engine struct {
	policy atomic.Pointer[Policy]
	vault  atomic.Pointer[Vault]
}

// NewEngine returns an engine with p in force.
func NewEngine(p *Policy) *Engine {
	e := &Engine{}
	e.Replace(p)
	return e
}

// Replace puts p in force: plans that are asked for from now on are its.
func (e *Engine) Replace(p *Policy) {
	if v := e.vault.Load(); v != nil {
		p.KeepTokens(*v)
	}
	e.policy.Store(p)
}

// Policy returns the policy in force, nil if there is none.
func (e *Engine) Policy() *Policy { return e.policy.Load() }

// Plan is [Policy.Plan] of the policy in force.
func (e *Engine) Plan(who *access.Principal, model string) *Plan {
	return e.Policy().Plan(who, model)
}

// modelRules are the rules about one model, and the plans for those of its
// callers that differ in what they are excepted from.
type modelRules struct {
	rules []*rule
	plans cache[ruleSet, *Plan]
}

// Plan says what is masked in a model's answers for a principal; nil where
// nothing is. Without a principal no exception holds. Plans are kept: a call for
// a model that was asked for before allocates nothing.
func (p *Policy) Plan(who *access.Principal, model string) *Plan {
	if p == nil || len(p.rules) == 0 {
		return nil
	}
	of, found := p.models.get(model)
	if !found {
		of = p.models.put(model, p.rulesOf(model))
	}
	if of == nil {
		return nil
	}
	var key ruleSet
	holds := false
	for _, r := range of.rules {
		if !r.excepts(who) {
			key.add(r.number)
			holds = true
		}
	}
	if !holds {
		return nil
	}
	plan, found := of.plans.get(key)
	if !found {
		plan = of.plans.put(key, p.plan(model, of.rules, key))
	}
	return plan
}

// rulesOf gathers the rules about a model; nil if there are none.
func (p *Policy) rulesOf(model string) *modelRules {
	of := &modelRules{}
	for _, r := range p.rules {
		if r.matches(model) {
			of.rules = append(of.rules, r)
		}
	}
	if of.rules == nil {
		return nil
	}
	return of
}

// plan makes the plan for those of a model's rules that are in key.
func (p *Policy) plan(model string, rules []*rule, key ruleSet) *Plan {
	rules = slices.DeleteFunc(slices.Clone(rules), func(r *rule) bool { return !key.has(r.number) })
	return newPlan(p, model, rules)
}
