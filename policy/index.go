package policy

import (
	"slices"
	"strings"
)

// index finds the patterns that match a model without trying each. A pattern
// lies under its longest literal part: a name without stars in a map, a
// beginning or an end in a trie, a middle in an automaton that finds all
// middles in one pass. A pattern with more parts than that one is checked in
// full when its key is found, once.
//
// An index is built in sorted order, so policies that say the same in another
// order have the same index, and name the same role for a decision.
type index struct {
	star  *grants // of "*" itself, nil if nobody has it
	any   *grants // of all patterns together
	exact map[string]*grants
	heads anchored
	tails anchored // its keys are reversed
	mids  floating
}

// item is one pattern under a key. Items of a key lie side by side, with what
// rules most of them out.
type item struct {
	verbs   verbSet // of any role
	role    uint32  // the only one, or manyRoles
	sure    bool    // to have found the key is enough
	grants  *grants
	pattern *pattern
}

const manyRoles = ^uint32(0)

func newItem(p *pattern, g *grants) item {
	it := item{verbs: g.verbs, role: manyRoles, sure: p.lone(), grants: g, pattern: p}
	if len(g.list) == 1 {
		it.role = g.list[0].role
	}
	return it
}

// newIndex takes the grants of each pattern by the pattern's normalised text.
func newIndex(byPattern map[string][]grant, roles int) *index {
	x := &index{exact: map[string]*grants{}}
	var all []grant
	var places [atMid + 1]map[string][]item
	for i := range places {
		places[i] = map[string][]item{}
	}
	for _, text := range sortedKeys(byPattern) {
		all = append(all, byPattern[text]...)
		p, g := parsePattern(text), newGrants(byPattern[text], roles)
		switch {
		case p.exact:
			x.exact[text] = g
		case p.isStar():
			x.star = g
		default:
			where, key := p.anchor()
			places[where][key] = append(places[where][key], newItem(&p, g))
		}
	}
	x.any = newGrants(all, roles)
	x.heads, x.tails, x.mids = newAnchored(places[atHead]), newAnchored(places[atTail]), newFloating(places[atMid])
	return x
}

// probe is one question to an index: which of the wanted verbs does the
// caller have on a model?
type probe struct {
	caller *caller
	want   verbSet // not yet found
	every  bool    // find all of them, instead of any
	got    verbSet
	role   uint32 // that has the last one found
	// into, if set, makes it another question: which roles have a wanted verb,
	// whoever holds them? It is answered when all patterns are through.
	into roleSet
}

// take adds what the caller has in g, and tells whether the question is
// answered.
func (q *probe) take(g *grants) bool {
	if q.into != nil {
		g.collect(q.into, q.want)
		return false
	}
	got, role := g.held(q.caller, q.want)
	if got == 0 {
		return false
	}
	q.got, q.want, q.role = q.got|got, q.want&^got, role
	return !q.every || q.want == 0
}

// try is take for the items of a key that was found in model. Whether the
// pattern matters to the caller is the cheaper test, and comes first.
func (q *probe) try(items []item, model string) bool {
	for i := range items {
		it := &items[i]
		if it.verbs&q.want == 0 || !q.concerns(it) || !it.sure && !it.pattern.match(model) {
			continue
		}
		if q.take(it.grants) {
			return true
		}
	}
	return false
}

// concerns tells whether the item's pattern can add to the answer.
func (q *probe) concerns(it *item) bool {
	switch {
	case q.into != nil || it.sure && it.role == manyRoles:
		return true
	case it.role != manyRoles:
		return q.caller.set.has(it.role)
	}
	got, _ := it.grants.held(q.caller, q.want)
	return got != 0
}

// find answers q for model from all patterns that match it.
func (x *index) find(q *probe, model string) {
	if x.any.verbs&q.want == 0 {
		return
	}
	if x.star != nil && q.take(x.star) {
		return
	}
	if g, ok := x.exact[model]; ok && q.take(g) {
		return
	}
	if x.heads.find(q, model) || x.tails.findReversed(q, model) {
		return
	}
	x.mids.find(q, model)
}

// anchored holds patterns under their beginnings, or under their ends
// reversed.
type anchored struct {
	trie
	items [][]item // by key
}

func newAnchored(byKey map[string][]item) anchored {
	keys := sortedKeys(byKey)
	return anchored{newTrie(keys, true), inOrder(keys, byKey)}
}

func (a *anchored) find(q *probe, model string) bool {
	for i, s := 0, uint32(0); i < len(model); i++ {
		if s = a.child(s, model[i]); s == 0 {
			return false
		}
		n := &a.nodes[s]
		if n.key < 0 {
			continue
		}
		items := a.items[n.key]
		if n.kids == 0 && !strings.HasPrefix(model, items[0].pattern.head) {
			return false
		}
		if q.try(items, model) {
			return true
		}
	}
	return false
}

func (a *anchored) findReversed(q *probe, model string) bool {
	for i, s := len(model)-1, uint32(0); i >= 0; i-- {
		if s = a.child(s, model[i]); s == 0 {
			return false
		}
		n := &a.nodes[s]
		if n.key < 0 {
			continue
		}
		items := a.items[n.key]
		if n.kids == 0 && !strings.HasSuffix(model, items[0].pattern.tail) {
			return false
		}
		if q.try(items, model) {
			return true
		}
	}
	return false
}

func inOrder(keys []string, byKey map[string][]item) [][]item {
	items := make([][]item, len(keys))
	for i, k := range keys {
		items[i] = slices.Clip(byKey[k])
	}
	return items
}
