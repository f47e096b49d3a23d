package policy

import "math/bits"

// bitset is a set of small numbers, mostly of roles: all sets of one policy's
// roles are equally long.
type bitset []uint64

func newBitset(size int) bitset { return make(bitset, (size+63)/64) }

func (s bitset) add(n uint32) { s[n>>6] |= 1 << (n & 63) }

func (s bitset) has(n uint32) bool { return s[n>>6]&(1<<(n&63)) != 0 }

// next returns the first member from n on that is below end, or else end.
func (s bitset) next(n, end uint32) uint32 {
	if n >= end {
		return end
	}
	w := n >> 6
	word := s[w] >> (n & 63) << (n & 63)
	for word == 0 {
		if w++; w<<6 >= end {
			return end
		}
		word = s[w]
	}
	return min(w<<6+uint32(bits.TrailingZeros64(word)), end)
}

// members lists what is in the set, in ascending order.
func (s bitset) members() []uint32 {
	var all []uint32
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			all = append(all, uint32(w<<6+bits.TrailingZeros64(word)))
		}
	}
	return all
}
