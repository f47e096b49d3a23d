package approval

import (
	"encoding/json"
	"slices"

	"github.com/sluice-gateway/sluice/access"
)

// Policy are all files' access entries, compiled. It is immutable; a nil Policy
// lets nobody ask.
type Policy struct {
	entries     []*entry
	definitions map[key]bool
}

// entry is an [Entry] as compiled, its defaults filled in.
type entry struct {
	Entry
	verbs      [access.NumVerbs]bool
	reason     bool
	definition key
}

// Compile checks files and compiles them. It reports all problems at once; with
// any problem there is no policy. No entry at all is a policy that lets nobody
// ask.
func Compile(files []File, o Options) (*Policy, []access.FileProblem) {
	c := &checker{sources: o.Sources}
	p := &Policy{definitions: make(map[key]bool)}
	for _, f := range files {
		c.file = f.Name
		if o.Stateless && len(f.Document.Access) > 0 {
			c.add("access", "approvals have to be kept somewhere; write store: {sqlite: PATH} into the configuration")
		}
		for i, written := range f.Document.Access {
			e := c.entry(i, written)
			p.entries = append(p.entries, e)
			p.definitions[e.definition] = true
		}
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return p, nil
}

// Empty tells whether nobody may ask for anything.
func (p *Policy) Empty() bool { return p == nil || len(p.entries) == 0 }

func (p *Policy) has(definition key) bool { return p != nil && p.definitions[definition] }

// define sums up what an entry says. Whatever of it changes ends what was given
// by it.
func (e *entry) define() {
	d := newDigester("sluice access entry 1")
	written, _ := json.Marshal(e.Entry) // texts and numbers alone: no error
	d.bytes(written)
	e.definition = d.sum()
}

// covers tells whether the entry is about verb on model. A call without a model
// needs an entry for all of them.
func (e *entry) covers(verb access.Verb, model string) bool {
	if int(verb) >= access.NumVerbs || !e.verbs[verb] {
		return false
	}
	return slices.ContainsFunc(e.Models, func(pattern string) bool {
		if model == "" {
			return star(pattern)
		}
		return access.Match(pattern, model)
	})
}

// whole tells whether a verb is never about one model.
func whole(v access.Verb) bool { return v == access.Log || v == access.LogRead || v == access.Shm }

// Approvers are the groups that agree if who asks ahead for verb on model, nil where no
// entry lets him ask.
func (p *Policy) Approvers(who *access.Principal, verb access.Verb, model string) []string {
	if e, refused := p.match(who, &Want{Verb: verb, Model: model}); refused == nil {
		return slices.Clone(e.By)
	}
	return nil
}

func noModel(v access.Verb) *access.Error {
	return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: "verb " + v.String() + " is never about one model; leave the model out"}
}

// match finds the entry by which who may ask for w. Of several it is the first
// that is wide enough; where none is, the refusal says how wide the widest is.
func (p *Policy) match(who *access.Principal, w *Want) (*entry, *access.Error) {
	if w.Model != "" {
		if refused := access.CheckModelName(w.Model); refused != nil {
			return nil, refused
		}
	}
	if w.Model != "" && whole(w.Verb) {
		return nil, noModel(w.Verb)
	}
	var widest *entry
	if p != nil && who != nil && w.For >= 0 {
		for _, e := range p.entries {
			if !e.covers(w.Verb, w.Model) || !inGroups(who, e.For) {
				continue
			}
			if w.For <= e.Max {
				return e, nil
			}
			if widest == nil || e.Max > widest.Max {
				widest = e
			}
		}
	}
	if widest != nil {
		return nil, forbidden(access.ReasonAccessWider, "%s may be asked for %v at most; ask for less with --for", act(w.Verb.String(), w.Model), widest.Max)
	}
	return nil, forbidden(access.ReasonAccessWider, "no access entry lets you ask for %s; ask an administrator of this gateway", act(w.Verb.String(), w.Model))
}
