package detect

import "strings"

// ssn finds US social security numbers: 3-2-4 digits, or nine in context.
// Areas, groups and serials that are never given are none.
var ssn = &Detector{
	info:      Info{"SSN", "US social security numbers (536-90-4399; nine digits in context)", 9 + 2*maxBetween, 0.5},
	inDigits:  true,
	minDigits: 9,
	raise:     []string{"ssn*", "social", "soc", "tax"},
	lower:     notPhones,
	verify: func(w *window, e *entry, at int) {
		if w.wordBefore(at) || w.joined(at) {
			return
		}
		c := w.cluster(at, at)
		base := ssnBase(c)
		if base == 0 {
			return
		}
		g := c.endsIn(9)
		hit := (g == 0 || g == 2) && ssnGiven(c.value[:9]) && !w.goesOn(c, g) && !(g == 2 && w.listed(c))
		if !hit && !c.open {
			return
		}
		switch score := w.contextScore(e, at, base); {
		case c.open && c.digits <= 9 && score >= e.threshold:
			w.wait(at)
		case hit:
			w.hit(e, at, c.groups[g].end, score)
		}
	},
}

// ssnBase is the score of a number of these groups, 0 if it can't be one, also
// not when more of it comes.
func ssnBase(c *cluster) float32 {
	first := &c.groups[0]
	if first.len() > 3 || c.n == 1 && !c.open {
		if first.len() == 9 || first.len() < 9 && c.n == 1 && c.cut {
			return 0.2
		}
		return 0
	}
	if first.len() < 3 && !(c.n == 1 && c.cut) {
		return 0
	}
	for i := 1; i < min(c.n, 3); i++ {
		g, want := &c.groups[i], 2*i
		if g.sep != c.groups[1].sep || g.width != c.groups[1].width || g.len() > want || g.len() < want && !(c.cut && i == c.n-1) {
			return 0
		}
	}
	switch {
	case c.n == 1 || c.groups[1].sep == '-':
		return 0.95
	case c.groups[1].width > 1 || !strings.ContainsRune(" ./_", rune(c.groups[1].sep)):
		return 0
	}
	return 0.6
}

// listed tells whether a number's three groups are among others that are apart
// in the same way, as in a list of numbers.
func (w *window) listed(c *cluster) bool {
	sep, at := c.groups[1].sep, c.groups[0].start
	after := c.n > 3 && c.groups[3].sep == sep && c.groups[3].width == 1
	return sep != '-' && (after || at >= 2 && w.before(at) == sep && is(w.before(at-1), isDigit))
}

// ssnGiven tells whether numbers like this one are given to people.
func ssnGiven(v []byte) bool {
	area := int(v[0])*100 + int(v[1])*10 + int(v[2])
	return area != 0 && area != 666 && area < 900 && v[3]+v[4] != 0 && v[5]+v[6]+v[7]+v[8] != 0
}

// joined tells whether what begins at b[at] is only the rest of something with
// digits before: 1-536-90-4399, 10.536.
func (w *window) joined(at int) bool {
	sep := w.before(at)
	return (sep == '-' || sep == '.') && at >= 2 && is(w.before(at-1), isDigit)
}

// goesOn tells whether what ends with group g is only the beginning of
// something: a word, or digits behind a dash or dot.
func (w *window) goesOn(c *cluster, g int) bool {
	end := c.groups[g].end
	if edge, _ := w.onEdge(end, c.lim, c.final); !edge {
		return true
	}
	if g+1 >= c.n {
		return false
	}
	next := &c.groups[g+1]
	return next.width == 1 && (next.sep == '-' || next.sep == '.')
}
