package backends

import "math/bits"

// target is where the models of one pattern are: at one backend, or at several,
// between which its callers are divided.
type target struct {
	sides  []Route
	weight uint64 // of all sides together
}

func (t *target) add(r Route) {
	t.sides = append(t.sides, r)
	t.weight += uint64(max(r.Weight, 1))
}

// side is the backend of a principal's calls for a model: always the same one,
// at every gateway and after every restart, and another division of the
// principals for each model.
func (t *target) side(model, principal string) *Route {
	if len(t.sides) == 1 {
		return &t.sides[0]
	}
	at, _ := bits.Mul64(hash(principal, model), t.weight)
	for i := range t.sides {
		w := uint64(max(t.sides[i].Weight, 1))
		if at < w {
			return &t.sides[i]
		}
		at -= w
	}
	return &t.sides[len(t.sides)-1]
}

// hash is FNV-1a over both, apart from each other, with its bits mixed as
// MurmurHash3 does at the end: the upper ones decide.
func hash(a, b string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, s := range [...]string{a, b} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * prime
		}
		h *= prime // a byte 0 between the two
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// hides tells whether model is the server's own name of a model that has
// another one here, and is not itself such another.
func (r *Route) hides(model string) bool {
	if _, public := r.Rename[model]; public {
		return false
	}
	for _, server := range r.Rename {
		if server == model {
			return true
		}
	}
	return false
}
