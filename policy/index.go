package policy

import "slices"

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

// item is one pattern under a key.
type item struct {
	*grants
	pattern pattern
	sure    bool // to have found the key is enough
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
		it := item{grants: newGrants(byPattern[text], roles), pattern: parsePattern(text)}
		if it.pattern.exact {
			x.exact[text] = it.grants
			continue
		}
		if it.pattern.isStar() {
			x.star = it.grants
			continue
		}
		where, key := it.pattern.anchor()
		it.sure = it.pattern.lone()
		places[where][key] = append(places[where][key], it)
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

// try is take for an item whose key was found in model. Whether the pattern
// matters to the caller is the cheaper test, and comes first.
func (q *probe) try(items []item, model string) bool {
	for i := range items {
		it := &items[i]
		if it.verbs&q.want == 0 {
			continue
		}
		if !it.sure && (!q.matters(it.grants) || !it.pattern.match(model)) {
			continue
		}
		if q.take(it.grants) {
			return true
		}
	}
	return false
}

func (q *probe) matters(g *grants) bool {
	if q.into != nil {
		return true
	}
	got, _ := g.held(q.caller, q.want)
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
	return anchored{newTrie(keys), inOrder(keys, byKey)}
}

func (a *anchored) find(q *probe, model string) bool {
	for i, s := 0, uint32(0); i < len(model); i++ {
		if s = a.child(s, model[i]); s == 0 {
			return false
		}
		if k := a.nodes[s].key; k >= 0 && q.try(a.items[k], model) {
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
		if k := a.nodes[s].key; k >= 0 && q.try(a.items[k], model) {
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
