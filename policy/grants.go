package policy

import (
	"math/bits"
	"slices"
)

// lightMost is how many roles a pattern may have before each of its verbs
// gets a bitset of roles.
const lightMost = 16

// grant is what one role has on a pattern.
type grant struct {
	role  uint32
	verbs verbSet
}

// grants is what all roles have on a pattern: a list, sorted by role, and
// with many roles also a set of roles per verb.
type grants struct {
	verbs  verbSet // of any role
	list   []grant
	byVerb []bitset // indexed by verb; nil with few roles
}

// newGrants sorts list and merges what it says of the same role.
func newGrants(list []grant, roles int) *grants {
	slices.SortFunc(list, func(a, b grant) int { return int(a.role) - int(b.role) })
	g := &grants{}
	for _, next := range list {
		g.verbs |= next.verbs
		if n := len(g.list); n > 0 && g.list[n-1].role == next.role {
			g.list[n-1].verbs |= next.verbs
			continue
		}
		g.list = append(g.list, next)
	}
	if len(g.list) > lightMost {
		g.spread(roles)
	}
	return g
}

// spread makes the sets of roles per verb, for a pattern that many roles have.
func (g *grants) spread(roles int) {
	g.byVerb = make([]bitset, bits.Len32(uint32(g.verbs)))
	for left := g.verbs; left != 0; left &= left - 1 {
		verb := left.lowest()
		g.byVerb[verb] = newBitset(roles)
		for _, l := range g.list {
			if l.verbs.has(verb) {
				g.byVerb[verb].add(l.role)
			}
		}
	}
}

// held returns which of the wanted verbs the caller has here, and the role
// that has the last one found.
func (g *grants) held(c *caller, want verbSet) (got verbSet, role uint32) {
	want &= g.verbs
	if g.byVerb == nil {
		for i := 0; i < len(g.list) && want != 0; i++ {
			if l := &g.list[i]; l.verbs&want != 0 && c.set.has(l.role) {
				got, role = got|l.verbs&want, l.role
				want &^= got
			}
		}
		return got, role
	}
	for ; want != 0; want &= want - 1 {
		if r, ok := c.first(g.byVerb[want.lowest()]); ok {
			got, role = got|want&-want, r
		}
	}
	return got, role
}

// collect adds to s every role that has one of the wanted verbs here.
func (g *grants) collect(s bitset, want verbSet) {
	for _, l := range g.list {
		if l.verbs&want != 0 {
			s.add(l.role)
		}
	}
}

// caller is what one policy knows of a principal: the roles it has.
type caller struct {
	set  bitset
	list []uint32 // the same, ascending
	// allow and deny are the items of the policy's indexes that these roles
	// have.
	allow, deny bitset
}

// first returns the lowest of the caller's roles that is in s. It goes
// through whichever is shorter, the caller's roles or the words of the sets.
func (c *caller) first(s bitset) (uint32, bool) {
	if len(c.list) < len(s) {
		for _, r := range c.list {
			if s.has(r) {
				return r, true
			}
		}
		return 0, false
	}
	for w, word := range s {
		if both := word & c.set[w]; both != 0 {
			return uint32(w<<6 + bits.TrailingZeros64(both)), true
		}
	}
	return 0, false
}
