package policy

import "sync"

// floating holds patterns under a part that may stand anywhere in a name.
type floating struct {
	automaton
	items [][]item   // by key
	marks *sync.Pool // of *marks
}

// marks tells with which keys a pass is through: those that hold the present
// epoch. Without them a name of repeats would have the same patterns checked
// at each of its bytes.
type marks struct {
	epoch uint32
	at    []uint32
}

func newFloating(byKey map[string][]item) floating {
	keys := sortedKeys(byKey)
	pool := &sync.Pool{New: func() any { return &marks{at: make([]uint32, len(keys))} }}
	return floating{newAutomaton(keys), inOrder(keys, byKey), pool}
}

// find goes over model once. The time is linear in the name's length and in
// the number of patterns whose key it holds.
func (f *floating) find(q *probe, model string) bool {
	if len(f.items) == 0 {
		return false
	}
	var m *marks
	defer f.put(&m)
	for i, s := 0, uint32(0); i < len(model); i++ {
		s = f.step(s, model[i])
		at := s
		if f.nodes[at].key < 0 {
			at = f.dict[at]
		}
		if at == 0 {
			continue
		}
		if m == nil {
			m = f.get()
		}
		if f.ending(q, m, at, model) {
			return true
		}
	}
	return false
}

// ending deals with every key that ends at node at: its own and those of the
// chain behind it. Where a key was dealt with before, so was its chain.
func (f *floating) ending(q *probe, m *marks, at uint32, model string) bool {
	for ; at != 0; at = f.dict[at] {
		k := f.nodes[at].key
		if m.at[k] == m.epoch {
			return false
		}
		m.at[k] = m.epoch
		if q.try(f.items[k], model) {
			return true
		}
	}
	return false
}

func (f *floating) get() *marks {
	m := f.marks.Get().(*marks)
	if m.epoch++; m.epoch == 0 { // all epochs are used up
		clear(m.at)
		m.epoch = 1
	}
	return m
}

func (f *floating) put(m **marks) {
	if *m != nil {
		f.marks.Put(*m)
	}
}
