package detect

const (
	maxDigits  = 24 // of a cluster that are looked at; a longer one is no number of ours
	maxGroups  = 24
	maxBetween = 3 // characters between two groups
)

// cluster is a run of digits and, where they follow, further runs with little
// between them: "4111 1111-1111.1111".
type cluster struct {
	begin  int  // anchor that it was read for, -1: none
	lim    int  // what may be looked at for it
	final  bool // nothing behind will ever be
	n      int  // groups
	digits int
	open   bool // more bytes could make it longer
	cut    bool // the last group could be longer, not only more of them come
	sep    byte // where it is open but not cut: what stands behind the last group
	width  int
	groups [maxGroups]group
	value  [maxDigits]byte // 0 to 9
}

// group is one run of digits.
type group struct {
	start, end int
	before     int  // digits before it
	sep        byte // what stands between it and the group before, spaces aside
	width      int  // how many characters do
}

func (g *group) len() int { return g.end - g.start }

// cluster reads the digits from the anchor b[at] on, for a match that begins at
// start. It is read once for all that ask.
func (w *window) cluster(start, at int) *cluster {
	c := &w.group
	lim, final := w.ahead(start)
	if c.begin == at && c.lim == lim && c.final == final {
		return c
	}
	c.begin, c.lim, c.final, c.n, c.digits, c.open, c.cut = at, lim, final, 0, 0, false, false
	var sep byte
	for i, from := at, at; ; from = i {
		g := &c.groups[c.n]
		for i = from; i < lim && is(w.b[i], isDigit) && c.digits < maxDigits; i++ {
			c.value[c.digits] = w.b[i] - '0'
			c.digits++
		}
		*g = group{start: from, end: i, before: c.digits - (i - from), sep: sep}
		if c.n > 0 {
			g.width = from - c.groups[c.n-1].end
		}
		c.n++
		// Longer ones are cut here, and match nothing: a digit follows.
		if c.digits == maxDigits || c.n == maxGroups {
			return c
		}
		if i, sep = w.separator(i, lim); i == lim {
			c.open = !final
			c.cut = c.open && g.end == lim
			c.sep, c.width = sep, i-g.end
			return c
		}
		if i == g.end || !is(w.b[i], isDigit) {
			return c
		}
	}
}

// separator passes over what stands between two groups of digits, and gives
// its first character that is no space, if it has one: more of it does not change
// that.
func (w *window) separator(i, lim int) (next int, sep byte) {
	sep = ' '
	for n := 0; n < maxBetween && i < lim && is(w.b[i], isSep); n++ {
		if sep == ' ' && !is(w.b[i], isSpace) {
			sep = w.b[i]
		}
		i++
	}
	return i, sep
}

// endsIn tells behind which group exactly n digits end, -1 if behind none.
func (c *cluster) endsIn(n int) int {
	for i := range c.n {
		if c.groups[i].before+c.groups[i].len() == n {
			return i
		}
	}
	return -1
}

// luhn tells whether the check digit is right (ISO/IEC 7812-1).
func luhn(digits []byte) bool {
	sum := 0
	for i, d := range digits {
		v := int(d)
		if (len(digits)-i)%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}
