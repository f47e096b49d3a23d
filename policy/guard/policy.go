package guard

import (
	"slices"

	"github.com/sluice-gateway/sluice/access"
)

// Policy is a compiled set of guards. It never changes, and is safe for
// concurrent use. A nil Policy has no guards.
type Policy struct {
	guards []*guard // in the order of the files
	// verbs has those that any guard is about: for the others no model is looked up.
	verbs [access.NumVerbs]bool
	// whole are the sets for calls without a model.
	whole  sets
	models cache
}

// sets are the guards about one model, by verb.
type sets [access.NumVerbs]*Set

// Set are the guards about one verb on one model.
type Set struct {
	denies, approves, observers []*guard
}

// wholeVerbs are never about one model, whatever model a caller names.
func wholeVerb(v access.Verb) bool {
	return v == access.Log || v == access.LogRead || v == access.Shm
}

// For returns the guards about verb on model, nil where there are none; an empty
// model is a call without one. That concerns all models, so every guard about the
// verb on any model is about it, but for list, whose answer is cut to what the
// caller may see. A model that was asked for before costs no allocation.
func (p *Policy) For(verb access.Verb, model string) *Set {
	if p == nil || int(verb) >= access.NumVerbs || !p.verbs[verb] {
		return nil
	}
	if model == "" || wholeVerb(verb) {
		return p.whole[verb]
	}
	of, found := p.models.get(model)
	if !found {
		of = p.setsOf(func(g *guard, _ access.Verb) bool { return g.matches(model) })
		p.models.put(model, of)
	}
	return of[verb]
}

// Guards returns the names of the guards that would look at a request of who's,
// less those that only observe.
func (s *Set) Guards(who *access.Principal) (names []string) {
	if s == nil {
		return nil
	}
	for _, g := range slices.Concat(s.denies, s.approves) {
		if g.about(who) {
			names = append(names, g.Name)
		}
	}
	return names
}

// setsOf gathers, for each verb, the guards that in lets in; nil for none.
func (p *Policy) setsOf(in func(*guard, access.Verb) bool) *sets {
	of := new(sets)
	for _, g := range p.guards {
		for v := range access.Verb(access.NumVerbs) {
			if !g.verbs[v] || !in(g, v) {
				continue
			}
			if of[v] == nil {
				of[v] = new(Set)
			}
			of[v].add(g)
		}
	}
	return of
}

func (s *Set) add(g *guard) {
	switch {
	case g.Observe:
		s.observers = append(s.observers, g)
	case g.Approve != nil:
		s.approves = append(s.approves, g)
	default:
		s.denies = append(s.denies, g)
	}
}

// Names are those of all guards.
func (p *Policy) Names() (names []string) {
	if p == nil {
		return nil
	}
	for _, g := range p.guards {
		names = append(names, g.Name)
	}
	return names
}

// Definition is that of the guard of a name, as [access.Need] has it; false where
// there is no such guard, or it asks for no approval any more.
func (p *Policy) Definition(name string) ([32]byte, bool) {
	if p != nil {
		for _, g := range p.guards {
			if g.Name == name && g.Approve != nil && !g.Observe {
				return g.definition, true
			}
		}
	}
	return [32]byte{}, false
}

// MayChoose tells whether who may reach the model chosen by a parameter of a
// request that names another one: only if each guard about chosen and him would be
// asked about the request as it is. named is "" where it is not known.
func (p *Policy) MayChoose(who *access.Principal, verb access.Verb, named, chosen string) bool {
	s := p.For(verb, chosen)
	if s == nil {
		return true
	}
	for _, g := range slices.Concat(s.denies, s.approves) {
		asked := g.everyModel || named != "" && g.matches(named)
		if g.about(who) && (!asked || g.reads(factModel)) {
			return false
		}
	}
	return true
}
