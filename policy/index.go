package policy

import "strings"

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
	items []item // of heads, tails and mids
	// byRole are the numbers of the items that each role has.
	byRole [][]uint32
}

// item is one pattern under a key. Its number is its place in the index.
type item struct {
	*grants
	pattern pattern
	sure    bool // to have found the key is enough
}

// span is the items of a key, which are neighbours.
type span struct{ lo, hi uint32 }

// newIndex takes the grants of each pattern by the pattern's normalised text.
func newIndex(byPattern map[string][]grant, roles int) *index {
	x := &index{exact: map[string]*grants{}, byRole: make([][]uint32, roles)}
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
			places[where][key] = append(places[where][key], item{g, p, p.lone()})
		}
	}
	x.any = newGrants(all, roles)
	heads, tails, mids := sortedKeys(places[atHead]), sortedKeys(places[atTail]), sortedKeys(places[atMid])
	x.heads = anchored{newTrie(heads, true), x.number(heads, places[atHead])}
	x.tails = anchored{newTrie(tails, true), x.number(tails, places[atTail])}
	x.mids = floating{newAutomaton(mids), x.number(mids, places[atMid])}
	return x
}

// number gives the items of keys their places.
func (x *index) number(keys []string, byKey map[string][]item) []span {
	spans := make([]span, len(keys))
	for i, key := range keys {
		spans[i].lo = uint32(len(x.items))
		for _, it := range byKey[key] {
			for _, g := range it.list {
				x.byRole[g.role] = append(x.byRole[g.role], uint32(len(x.items)))
			}
			x.items = append(x.items, it)
		}
		spans[i].hi = uint32(len(x.items))
	}
	return spans
}

// itemsOf returns the numbers of the items that one of roles has.
func (x *index) itemsOf(roles []uint32) bitset {
	set := newBitset(len(x.items))
	for _, r := range roles {
		for _, n := range x.byRole[r] {
			set.add(n)
		}
	}
	return set
}

// probe is one question to an index: which of the wanted verbs does the
// caller have on a model?
type probe struct {
	caller *caller
	mine   bitset  // the caller's items, so that others' patterns cost nothing
	want   verbSet // not yet found
	every  bool    // find all of them, instead of any
	got    verbSet
	role   uint32 // that has the last one found
	// into, if set, makes it another question: which roles have a wanted verb,
	// whoever holds them? It is answered when all patterns are through.
	into bitset
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

// try is take for the items of a key that was found in model.
func (q *probe) try(items []item, at span, model string) bool {
	for n := q.next(at.lo, at.hi); n < at.hi; n = q.next(n+1, at.hi) {
		it := &items[n]
		if it.verbs&q.want != 0 && (it.sure || it.pattern.match(model)) && q.take(it.grants) {
			return true
		}
	}
	return false
}

// next returns the first item from n on that concerns the question, or end.
func (q *probe) next(n, end uint32) uint32 {
	if q.into != nil {
		return n
	}
	return q.mine.next(n, end)
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
	if x.heads.find(q, x.items, model) || x.tails.findReversed(q, x.items, model) {
		return
	}
	x.mids.find(q, x.items, model)
}

// anchored holds patterns under their beginnings, or under their ends
// reversed.
type anchored struct {
	trie
	spans []span // by key
}

// find tries the items of every key that model begins with.
func (a *anchored) find(q *probe, items []item, model string) bool {
	for i, s := 0, uint32(0); i < len(model); i++ {
		if s = a.child(s, model[i]); s == 0 {
			return false
		}
		n := &a.nodes[s]
		if n.key < 0 {
			continue
		}
		at := a.spans[n.key]
		if n.kids == 0 && !strings.HasPrefix(model, items[at.lo].pattern.head) {
			return false
		}
		if q.try(items, at, model) {
			return true
		}
	}
	return false
}

// findReversed tries the items of every key that model ends with.
func (a *anchored) findReversed(q *probe, items []item, model string) bool {
	for i, s := len(model)-1, uint32(0); i >= 0; i-- {
		if s = a.child(s, model[i]); s == 0 {
			return false
		}
		n := &a.nodes[s]
		if n.key < 0 {
			continue
		}
		at := a.spans[n.key]
		if n.kids == 0 && !strings.HasSuffix(model, items[at.lo].pattern.tail) {
			return false
		}
		if q.try(items, at, model) {
			return true
		}
	}
	return false
}
