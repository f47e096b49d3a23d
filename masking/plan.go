package masking

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// Plan is what is masked in one model's answers for callers whom the same rules
// hold for. It is safe for concurrent use.
type Plan struct {
	policy *Policy
	model  string
	rules  []*rule
	text   []*rule     // those with entities
	guards bool        // some rule with entities enforces: side channels follow
	words  *tensorPlan // all text rules, for what is no tensor

	tensors atomic.Pointer[[]*tensorPlan] // the first ones asked for
	answers sync.Pool                     // of *answer
}

// keptTensors is how many tensors a plan remembers: models have few outputs.
const keptTensors = 64

// tensorPlan is what is done to one output.
type tensorPlan struct {
	plan  *Plan
	name  string
	text  []*rule
	whole []*rule
	side  bool // a side channel of masked text, which no rule names
	named bool // by a rule itself, not by a pattern

	format  Format
	mode    Mode // "" where no rule says one
	full    *set // of all text rules
	paths   []jsonPath
	indexed bool
	problem string // why nothing of it can be let through
}

func newPlan(p *Policy, model string, rules []*rule) *Plan {
	plan := &Plan{policy: p, model: model, rules: rules}
	for _, r := range rules {
		if r.whole {
			continue
		}
		plan.text = append(plan.text, r)
		plan.guards = plan.guards || !r.observe
	}
	plan.words = &tensorPlan{plan: plan, text: plan.text, format: Text, full: p.set(plan.text)}
	return plan
}

// set returns the rules' set, which is made once. Every rule was compiled by
// itself before, and rules together look no less far ahead than each alone.
func (p *Policy) set(rules []*rule) *set {
	var key ruleSet
	for _, r := range rules {
		key.add(r.number)
	}
	if s, found := p.sets.get(key); found {
		return s
	}
	s, err := compileSet(rules)
	if err != nil {
		s = &set{broken: err}
	}
	return p.sets.put(key, s)
}

// tensor finds what is done to the output of a name.
func (p *Plan) tensor(name wire.Span) *tensorPlan {
	known := p.tensors.Load()
	if known != nil {
		for _, t := range *known {
			if name.Is(t.name) {
				return t
			}
		}
	}
	return p.keep(known, p.newTensor(name.String()))
}

// tensorNamed is tensor for a name that is a string already.
func (p *Plan) tensorNamed(name string) *tensorPlan {
	known := p.tensors.Load()
	if known != nil {
		for _, t := range *known {
			if t.name == name {
				return t
			}
		}
	}
	return p.keep(known, p.newTensor(name))
}

// keep remembers a tensor beside those that are known.
func (p *Plan) keep(known *[]*tensorPlan, t *tensorPlan) *tensorPlan {
	var more []*tensorPlan
	if known != nil {
		more = slices.Clone(*known)
	}
	if more = append(more, t); len(more) <= keptTensors {
		p.tensors.CompareAndSwap(known, &more) // else another came first, and this one is made again
	}
	return t
}

func (p *Plan) newTensor(name string) *tensorPlan {
	t := &tensorPlan{plan: p, name: name}
	for _, r := range p.rules {
		if !r.covers(name) {
			continue
		}
		t.named = t.named || r.names(name)
		if r.whole {
			t.whole = append(t.whole, r)
			continue
		}
		t.text = append(t.text, r)
		t.merge(r)
	}
	t.side = p.guards && !t.named && sideChannels[name]
	if t.format == "" {
		t.format = Text
	}
	t.full = p.policy.set(t.text)
	if t.full.broken != nil {
		t.problem = t.full.broken.Error()
	}
	return t
}

// merge takes over how a rule has the tensor read. Two rules that say different
// things leave nothing that would be right.
func (t *tensorPlan) merge(r *rule) {
	if r.format != "" && t.format != "" && r.format != t.format {
		t.problem = fmt.Sprintf("rules %s read it as %s and as %s", names(t.text), t.format, r.format)
	}
	if r.mode != "" && t.mode != "" && r.mode != t.mode {
		t.problem = fmt.Sprintf("rules %s say mode %s and %s", names(t.text), t.mode, r.mode)
	}
	if r.format != "" {
		t.format = r.format
	}
	if r.mode != "" {
		t.mode = r.mode
	}
	t.indexed = t.indexed || r.first > 0 || r.last < maxIndex
	t.paths = append(t.paths, r.paths...)
	for i := range r.entities {
		t.paths = append(t.paths, r.entities[i].paths...)
	}
}

// setFor is what is looked for in the element of an index, at a place of a JSON
// text that the paths in covers cover.
func (t *tensorPlan) setFor(index int, covers uint64) *set {
	if !t.indexed && len(t.paths) == 0 {
		return t.full
	}
	var few [8]*rule
	rules := few[:0]
	for _, r := range t.text {
		if r.first <= index && index <= r.last && (len(r.paths) == 0 || r.covered(covers)) {
			rules = append(rules, r)
		}
	}
	if len(rules) == len(t.text) {
		return t.full
	}
	return t.plan.policy.set(rules)
}

func (r *rule) covered(covers uint64) bool {
	return slices.ContainsFunc(r.paths, func(p jsonPath) bool { return covers&(1<<p.bit) != 0 })
}

// refused is the refusal of an answer or a request for what rules say about it.
func (p *Plan) refused(rules []*rule, format string, args ...any) *access.Error {
	by := ""
	if len(rules) > 0 {
		by = " (masking rule " + names(rules) + ")"
	}
	return &access.Error{
		Kind: access.PermissionDenied, Reason: access.ReasonMasking,
		Message: fmt.Sprintf("model %s: ", access.Quote(p.model)) + fmt.Sprintf(format, args...) + by,
	}
}
