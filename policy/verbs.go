package policy

import (
	"math/bits"

	"github.com/sluice-gateway/sluice/access"
)

// verbSet is a set of verbs, one bit each. The next line does not compile
// once there are more verbs than bits.
type verbSet uint32

const _ = uint(32 - access.NumVerbs)

func setOf(verbs ...access.Verb) verbSet {
	var s verbSet
	for _, v := range verbs {
		s |= 1 << v
	}
	return s
}

func (s verbSet) has(v access.Verb) bool { return s&(1<<v) != 0 }

// lowest returns the set's first verb; the set must not be empty.
func (s verbSet) lowest() access.Verb { return access.Verb(bits.TrailingZeros32(uint32(s))) }

// Three sets that the semantics are made of.
var (
	// starVerbs is what "*" means among an entry's verbs.
	starVerbs = func() (s verbSet) {
		for _, v := range access.Verbs() {
			if v.InStar() {
				s |= setOf(v)
			}
		}
		return s
	}()
	// wholeVerbs are never about one model, whatever model a caller names.
	wholeVerbs = setOf(access.Log, access.LogRead, access.Shm, access.Admin)
	// modelVerbs are the others: each of them makes a model visible.
	modelVerbs = setOf(access.Verbs()...) &^ wholeVerbs
)

// verbNames are the words that may stand among an entry's verbs.
func verbNames() []string {
	names := []string{"*"}
	for _, v := range access.Verbs() {
		names = append(names, v.String())
	}
	return names
}
