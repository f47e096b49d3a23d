package detect

// ssn finds US social security numbers: 3-2-4 digits, or nine in context.
// Areas, groups and serials that are never given are none.
var ssn = &Detector{
	info:     Info{"SSN", "US social security numbers (536-90-4399; nine digits in context)", 9 + 2*maxBetween, 0.5},
	inDigits: true,
	raise:    []string{"ssn*", "social", "soc", "tax"},
	lower:    []string{"order*", "invoice*", "ticket*", "part", "sku"},
	verify: func(w *window, e *entry, at int) {
		if w.wordBefore(at) || w.joined(at) {
			return
		}
		c := w.cluster(at)
		score := ssnScore(w, e, c)
		if score < e.threshold {
			return
		}
		if c.open && c.digits <= 9 {
			w.wait(at)
		}
		if g := c.endsIn(9); g == 0 || g == 2 {
			if ssnGiven(c.value[:9]) && !w.goesOn(c, g) {
				w.hit(e, at, c.groups[g].end, score)
			}
		}
	},
}

// ssnScore is the score of the cluster as far as it goes, 0 if its groups are
// none of a number.
func ssnScore(w *window, e *entry, c *cluster) float32 {
	if first := c.groups[0].len(); first > 3 || c.n == 1 && first < 3 && !c.open {
		if first > 9 || c.n > 1 && first != 9 {
			return 0
		}
		return w.contextScore(e, c.groups[0].start, 0.2)
	}
	if c.n > 1 && (c.groups[0].len() != 3 || c.groups[1].len() > 2 || c.n > 2 && c.groups[1].len() != 2) {
		return 0
	}
	if c.n > 2 && (c.groups[2].len() > 4 || c.groups[2].sep != c.groups[1].sep || c.groups[2].width != c.groups[1].width) {
		return 0
	}
	base := float32(0.85)
	if c.n > 1 && c.groups[1].sep != '-' {
		base = 0.6
	}
	return w.contextScore(e, c.groups[0].start, base)
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
	if lim, final := w.ahead(c.groups[0].start); end < lim || !final {
		if edge, _ := w.onEdge(end, lim, final); !edge {
			return true
		}
	}
	if g+1 >= c.n {
		return false
	}
	next := &c.groups[g+1]
	return next.width == 1 && (next.sep == '-' || next.sep == '.')
}
