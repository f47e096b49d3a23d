package masking

import (
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Counts is how many spans were found, by entity. The zero Counts is empty; it
// is not safe for concurrent use.
type Counts struct {
	// Masked are those that were masked, Observed those that rules with
	// observe: true found. Both are nil while there are none.
	Masked, Observed map[string]int64

	// Found, if set, hears of each value that is masked while it is.
	Found Found

	tokens []Token // that are not kept yet
}

// add counts one match. A nil Counts counts nothing.
func (c *Counts) add(u *use) {
	if c == nil {
		return
	}
	m := &c.Masked
	if u.observe {
		m = &c.Observed
	}
	if *m == nil {
		*m = make(map[string]int64)
	}
	(*m)[u.entity]++
}

// All yields what was masked, in the order of the entities' names.
func (c *Counts) All() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		for _, entity := range slices.Sorted(maps.Keys(c.Masked)) {
			if !yield(entity, c.Masked[entity]) {
				return
			}
		}
	}
}

// String is what was masked, as trailers show it: "CARD=1,EMAIL=2".
func (c *Counts) String() string {
	var list []string
	for entity, n := range c.All() {
		list = append(list, entity+"="+strconv.FormatInt(n, 10))
	}
	return strings.Join(list, ",")
}
