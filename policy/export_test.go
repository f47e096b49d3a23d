package policy

import "github.com/sluice-gateway/sluice/access"

// What tests in package policy_test see of the inside.

// MaxRegions is how many regions one principal may hold.
const MaxRegions = maxRegions

// FewKeys is for how many middles an index needs no memory in a decision.
const FewKeys = 64 * keysOnStack

// Match is one pattern against one name.
func Match(text, name string) bool {
	p := parsePattern(text)
	return p.match(name)
}

// Anchor is a pattern's normalised text and what it is indexed by: the place
// (head, tail or mid) and the key, with whether that is all that it consists of.
func Anchor(text string) (normalised, where, key string, lone bool) {
	p := parsePattern(text)
	at, key := p.anchor()
	return p.text, [...]string{atHead: "head", atTail: "tail", atMid: "mid"}[at], key, p.lone()
}

// Occurring lists which of keys, sorted and without repeats, an automaton
// finds in text, each as often as it stands there.
func Occurring(keys []string, text string) []string {
	a, s, found := newAutomaton(keys), uint32(0), []string(nil)
	f := floating{automaton: a}
	for i := range len(text) {
		s = a.step(s, text[i])
		for at := f.ending(s); at != 0; at = a.dict[at] {
			found = append(found, keys[a.nodes[at].key])
		}
	}
	return found
}

// Beginning lists which of keys, sorted and without repeats, a trie finds at
// the beginning of text; a cut trie is checked as its users check it.
func Beginning(keys []string, text string, cut bool) []string {
	t, s, found := newTrie(keys, cut), uint32(0), []string(nil)
	for i := range len(text) {
		if s = t.child(s, text[i]); s == 0 {
			break
		}
		n := &t.nodes[s]
		if n.key < 0 {
			continue
		}
		key := keys[n.key]
		if n.kids == 0 && (len(key) > len(text) || text[:len(key)] != key) {
			break
		}
		found = append(found, key)
	}
	return found
}

// Sets are the members of a bitset of size made of numbers, and what next
// steps through between lo and hi.
func Sets(size int, numbers []uint32, lo, hi uint32) (members, between []uint32) {
	s := newBitset(size)
	for _, n := range numbers {
		s.add(n)
	}
	for n := s.next(lo, hi); n < hi; n = s.next(n+1, hi) {
		between = append(between, n)
	}
	return s.members(), between
}

// Classes tells how an entry's rules see a verb: whether "*" holds it and
// whether it is never about one model.
func Classes(v access.Verb) (inStar, whole bool) { return starVerbs.has(v), wholeVerbs.has(v) }
