package guard

import (
	"errors"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// Verdict is what guards say to one request.
type Verdict struct {
	// Refused is the refusal, nil where no guard denies; Guard is who said so.
	Refused *access.Error
	Guard   string
	// Needs are the approvals that are asked for, one a guard; nil where Refused.
	Needs []*access.Need
	// WouldHave are the guards that only observe and had something to say; nothing
	// is said of a request that is denied.
	WouldHave []string
	// Outcomes are what each of these guards did, in that order.
	Outcomes []access.GuardOutcome
}

// Decide asks the guards about a request. A nil Set says nothing.
func (s *Set) Decide(r *Request) Verdict { return s.DecideAll(r, nil) }

// DecideAll is Decide for a call that takes other models along, as an unload with
// its dependents does: each guard is asked about each of them, too. A need says which
// of them it is for.
func (s *Set) DecideAll(r *Request, along []Along) Verdict {
	a := asking{along: along, read: newReading(r)}
	for _, g := range a.guards(s, func(s *Set) []*guard { return s.denies }) {
		if a.deny(g) {
			return a.out
		}
	}
	for _, g := range a.guards(s, func(s *Set) []*guard { return s.approves }) {
		if a.approve(g) {
			return a.out
		}
	}
	for _, g := range a.guards(s, func(s *Set) []*guard { return s.observers }) {
		a.observe(g)
	}
	return a.out
}

// Along is a model that a call takes along, and the guards about it.
type Along struct {
	Model string
	Set   *Set
}

// asking is one request on its way through the guards.
type asking struct {
	along []Along
	read  *reading
	out   Verdict
}

// guards lists those of one sort that are about the call or what it takes along.
func (a *asking) guards(s *Set, sort func(*Set) []*guard) []*guard {
	var all []*guard
	if s != nil {
		all = sort(s)
	}
	for _, other := range a.along {
		if other.Set == nil {
			continue
		}
		for _, g := range sort(other.Set) {
			if !slices.Contains(all, g) {
				all = append(slices.Clip(all), g)
			}
		}
	}
	return all
}

// holds asks one guard: whether it holds for the call, and for which models that
// go along.
func (a *asking) holds(g *guard) (own bool, along []string, err error) {
	r := a.read.r
	if !g.about(r.Principal) || !g.now(r) {
		return false, nil, nil
	}
	if r.Control != nil && hasUnknown(r.Control.ProtoReflect()) {
		return false, nil, fail("the request has fields that this version of the gateway does not know; leave them out")
	}
	if g.matches(r.Model) || r.Model == "" || wholeVerb(r.Verb) {
		if own, err = g.holds(a.read); err != nil {
			return false, nil, err
		}
	}
	for _, other := range a.along {
		if !g.matches(other.Model) {
			continue
		}
		of := *r
		of.Model = other.Model
		holds, err := g.holds(newReading(&of))
		if err != nil {
			return false, nil, err
		}
		if holds {
			along = append(along, other.Model)
		}
	}
	return own, along, nil
}

func (a *asking) deny(g *guard) (refused bool) {
	own, along, err := a.holds(g)
	switch {
	case err != nil:
		a.refuse(g, access.GuardFailed, a.failed(g, err))
		return true
	case own:
		a.refuse(g, access.GuardDenied, a.denied(g, a.read.r.Model))
		return true
	case along != nil:
		a.refuse(g, access.GuardDenied, a.denied(g, along[0]))
		return true
	}
	return false
}

func (a *asking) approve(g *guard) (refused bool) {
	own, along, err := a.holds(g)
	if err != nil {
		a.refuse(g, access.GuardFailed, a.failed(g, err))
		return true
	}
	if !own && along == nil {
		return false
	}
	need := g.need
	if metadata := g.metadata.of(a.read.r.Metadata); along != nil || len(metadata) > 0 {
		with := *need
		with.Along, with.Metadata = along, metadata
		need = &with
	}
	a.out.Needs = append(a.out.Needs, need)
	a.out.Outcomes = append(a.out.Outcomes, access.GuardOutcome{Guard: g.Name, Did: access.GuardHeld})
	return false
}

// observe notes what a guard would have done; that it fails changes nothing.
func (a *asking) observe(g *guard) {
	own, along, err := a.holds(g)
	did := access.GuardWouldDeny
	switch {
	case err != nil:
		did = access.GuardWouldFail
	case !own && along == nil:
		return
	case g.Approve != nil:
		did = access.GuardWouldHold
	}
	a.out.WouldHave = append(a.out.WouldHave, g.Name)
	a.out.Outcomes = append(a.out.Outcomes, access.GuardOutcome{Guard: g.Name, Did: did})
}

func (a *asking) refuse(g *guard, did string, err *access.Error) {
	a.out = Verdict{Refused: err, Guard: g.Name, Outcomes: []access.GuardOutcome{{Guard: g.Name, Did: did}}}
}

// now tells whether the guard holds at the time of a request.
func (g *guard) now(r *Request) bool {
	return len(g.hours) == 0 || slices.ContainsFunc(g.hours, func(w window) bool { return w.holds(r.Now) })
}

// holds evaluates what the guard says about a request. What makes a request one
// that can't be looked at is an error whatever else would be said of it.
func (g *guard) holds(r *reading) (bool, error) {
	if g.reads(factInputs) {
		if _, err := r.tensors(); err != nil {
			return false, err
		}
		for _, name := range g.tensors {
			if i, _ := r.find(name); i != nil && i.shared {
				return false, fail("input %s is in shared memory, where it can't be looked at; send it in the request", access.Quote(name))
			}
		}
	}
	if g.program != nil {
		out, _, err := g.program.Eval(r)
		if err != nil {
			return false, g.explained(err)
		}
		if yes, ok := out.Value().(bool); !ok || !yes {
			return false, nil
		}
	}
	if g.DenyList == nil {
		return true, nil
	}
	return g.listed(r)
}

// errExpression is what is said of a condition that has no value, where nothing
// more may be said: CEL's own words can quote the request.
var errExpression = errors.New("its condition has no answer for this request")

// explained keeps of an expression's error what can be shown.
func (g *guard) explained(err error) error {
	var why *failure
	if errors.As(err, &why) {
		return why
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "cost limit exceeded"):
		return fail("its condition costs more than it may")
	case strings.HasPrefix(text, "no such key"):
		return fail("its condition names a key that the request does not have")
	case strings.HasPrefix(text, "no such overload"):
		return fail("its condition meets a value of a type that it does not expect")
	}
	return &failure{errExpression.Error()}
}
