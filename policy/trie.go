package policy

import "sort"

// denseFrom is how many children make a node worth a table of 256 places.
const denseFrom = 8

// trie finds which of a set of keys are prefixes of a text. Nodes lie in
// breadth-first order, so a node's children are neighbours and a parent comes
// before its children; node 0 is the root.
type trie struct {
	nodes []node
	rows  [][256]uint32 // tables of the nodes with many children; rows[0] is nobody's
}

type node struct {
	first uint32 // first child
	row   uint32 // table of children, 0 for none
	key   int32  // which key ends here, -1 for none
	kids  uint16 // how many children
	label byte   // the byte that leads here
}

// newTrie takes keys that are sorted and free of repeats and of "". If cut, a
// path ends where only one key is left, so that a search touches little
// memory: who comes to a node without children has to compare the rest of the
// key.
func newTrie(keys []string, cut bool) trie {
	type span struct{ lo, hi, depth int }
	t, spans := trie{nodes: []node{{key: -1}}, rows: make([][256]uint32, 1)}, []span{{0, len(keys), 0}}
	for i := 0; i < len(t.nodes); i++ {
		s := spans[i]
		if s.lo < s.hi && (len(keys[s.lo]) == s.depth || cut && s.depth > 0 && s.lo+1 == s.hi) {
			t.nodes[i].key = int32(s.lo)
			s.lo++
		}
		t.nodes[i].first = uint32(len(t.nodes))
		for s.lo < s.hi {
			label := keys[s.lo][s.depth]
			n := sort.Search(s.hi-s.lo, func(n int) bool { return keys[s.lo+n][s.depth] > label })
			t.nodes = append(t.nodes, node{label: label, key: -1})
			spans = append(spans, span{s.lo, s.lo + n, s.depth + 1})
			s.lo += n
		}
		t.nodes[i].kids = uint16(len(t.nodes) - int(t.nodes[i].first))
		t.tabulate(i)
	}
	return t
}

// tabulate gives node i a table if it has many children.
func (t *trie) tabulate(i int) {
	n := &t.nodes[i]
	if n.kids < denseFrom {
		return
	}
	var row [256]uint32
	for c := n.first; c < n.first+uint32(n.kids); c++ {
		row[t.nodes[c].label] = c
	}
	n.row = uint32(len(t.rows))
	t.rows = append(t.rows, row)
}

// child returns where b leads from node s, or 0 (the root is nobody's child).
func (t *trie) child(s uint32, b byte) uint32 {
	n := &t.nodes[s]
	if n.row != 0 {
		return t.rows[n.row][b]
	}
	for c := n.first; c < n.first+uint32(n.kids); c++ {
		if t.nodes[c].label == b {
			return c
		}
	}
	return 0
}

// automaton is the trie of Aho and Corasick: it finds every key that stands
// anywhere in a text, in one pass over the text.
type automaton struct {
	trie
	fail []uint32 // the longest proper suffix of the node's path that is a node
	dict []uint32 // the nearest node on the chain of fails where a key ends, 0 for none
}

func newAutomaton(keys []string) automaton {
	a := automaton{trie: newTrie(keys, false)}
	a.fail, a.dict = make([]uint32, len(a.nodes)), make([]uint32, len(a.nodes))
	for i := range a.nodes {
		n := &a.nodes[i]
		for c := n.first; c < n.first+uint32(n.kids); c++ {
			if i != 0 {
				a.fail[c] = a.step(a.fail[i], a.nodes[c].label)
			}
			a.dict[c] = a.fail[c]
			if a.nodes[a.fail[c]].key < 0 {
				a.dict[c] = a.dict[a.fail[c]]
			}
		}
		a.complete(i)
	}
	return a
}

// complete makes the table of node i answer for its fails too, so that most
// steps of a pass are one look into a table.
func (a *automaton) complete(i int) {
	if a.nodes[i].row == 0 || i == 0 {
		return
	}
	row := &a.rows[a.nodes[i].row]
	for b := range row {
		if row[b] == 0 {
			row[b] = a.step(a.fail[i], byte(b))
		}
	}
}

// step returns the node of the longest suffix of the text, b included, that
// is a beginning of some key.
func (a *automaton) step(s uint32, b byte) uint32 {
	for {
		if n := &a.nodes[s]; n.row != 0 {
			return a.rows[n.row][b]
		}
		if c := a.child(s, b); c != 0 || s == 0 {
			return c
		}
		s = a.fail[s]
	}
}
