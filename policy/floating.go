package policy

// floating holds patterns under a part that may stand anywhere in a name.
type floating struct {
	automaton
	spans []span // by key
}

// find goes over model once. The time is linear in the name's length and in
// the number of patterns whose key it holds.
func (f *floating) find(q *probe, items []item, model string) bool {
	if len(f.spans) == 0 {
		return false
	}
	for i, s := 0, uint32(0); i < len(model); i++ {
		if s = f.step(s, model[i]); f.ending(s) != 0 {
			return f.findFrom(q, items, model, i+1, s)
		}
	}
	return false
}

// ending returns the node of the longest key that ends where a pass is at
// node s, or 0.
func (f *floating) ending(s uint32) uint32 {
	if f.nodes[s].key >= 0 {
		return s
	}
	return f.dict[s]
}

// keysOnStack is for how many keys, in words of 64, findFrom needs no memory
// of its own.
const keysOnStack = 160

// findFrom goes on where find came to the first key, having read i bytes. It
// remembers which keys it is through with: else a name of repeats would have
// the same patterns checked at each of its bytes.
//
//go:noinline
func (f *floating) findFrom(q *probe, items []item, model string, i int, s uint32) bool {
	var few [keysOnStack]uint64
	done := bitset(few[:])
	if len(f.spans) > 64*keysOnStack {
		done = newBitset(len(f.spans))
	}
	for {
		// Where a key is dealt with, so are those that end with it, behind it
		// on the chain.
		for at := f.ending(s); at != 0; at = f.dict[at] {
			k := uint32(f.nodes[at].key)
			if done.has(k) {
				break
			}
			done.add(k)
			if q.try(items, f.spans[k], model) {
				return true
			}
		}
		if i == len(model) {
			return false
		}
		s = f.step(s, model[i])
		i++
	}
}
