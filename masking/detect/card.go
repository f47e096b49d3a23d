package detect

// card finds payment card numbers: of a known issuer's prefix and length, with
// the right check digit, in groups as they are printed or in any other even
// way.
var card = &Detector{
	info:      Info{"CARD", "payment card numbers (issuer's prefix and length, Luhn check digit)", 19 + 18*maxBetween, 0.5},
	inDigits:  true,
	minDigits: 12,
	lower:     []string{"tracking*", "isbn", "imei", "uuid"},
	raise:     []string{"card*", "visa", "mastercard", "amex", "credit", "debit", "pan", "karte*", "kreditkarte*", "carte", "tarjeta", "cvv", "cvc"},
	verify: func(w *window, e *entry, at int) {
		if w.wordBefore(at) {
			return
		}
		c := w.cluster(at, at)
		lengths := cardLengths(c)
		if lengths == 0 {
			return
		}
		if c.open && c.digits <= 19 && (c.printed(c.n) || c.even(c.n)) {
			w.wait(at)
		}
		for n := 19; n >= 12; n-- {
			if lengths>>n&1 == 0 || n > c.digits {
				continue
			}
			if g := c.endsIn(n); g >= 0 && luhn(c.value[:n]) {
				cardHit(w, e, c, g)
			}
		}
	},
}

// cardHit reports a number that ends in group g, where its groups and what
// stands around it are those of a card.
func cardHit(w *window, e *entry, c *cluster, g int) {
	at, end := c.groups[0].start, c.groups[g].end
	if edge, _ := w.onEdge(end, c.lim, c.final); !edge {
		return
	}
	// 0.4111111111111111 is a number as programs print it.
	decimals := w.before(at) == '.' && at >= 2 && is(w.before(at-1), isDigit)
	switch {
	case g == 0 && decimals:
	case c.printed(g + 1):
		w.hit(e, at, end, w.contextScore(e, at, 0.95))
	case g == c.n-1 && c.even(c.n) && !w.digitsBefore(at):
		w.hit(e, at, end, w.contextScore(e, at, 0.6))
	}
}

// printed tells whether the first n groups are those of printed cards: one, or
// four digits at a time, or 4-6-5 and 4-6-4; the last may be incomplete.
func (c *cluster) printed(n int) bool {
	if n == 1 {
		return true
	}
	second := c.groups[1].len()
	for i := range n {
		size := c.groups[i].len()
		switch {
		case i == n-1 && size <= 5:
		case i == 1 && size == 6 && n <= 3:
		case i == 2 && second == 6:
			return false
		case size != 4:
			return false
		}
	}
	return true
}

// even tells whether the first n groups are equally long and apart, the last
// maybe incomplete.
func (c *cluster) even(n int) bool {
	for i := 1; i < n; i++ {
		g, first := &c.groups[i], &c.groups[0]
		if g.sep != c.groups[1].sep || g.width != c.groups[1].width ||
			g.len() != first.len() && (i < n-1 || g.len() > first.len()) {
			return false
		}
	}
	return true
}

// digitsBefore tells whether a group of digits ends shortly before b[at].
func (w *window) digitsBefore(at int) bool {
	i := at
	for n := 0; n < maxBetween && is(w.before(i), isSep); n++ {
		i--
	}
	return is(w.before(i), isDigit)
}

// issuer is a range of prefixes of four digits, and the lengths of its numbers
// as a bit each.
type issuer struct {
	from, to int
	lengths  uint32
}

const (
	len13, len14, len15, len16 = 1 << 13, 1 << 14, 1 << 15, 1 << 16

	len16to19 = len16 | 1<<17 | 1<<18 | 1<<19
	len12to19 = 1<<12 | len13 | len14 | len15 | len16to19
)

// issuers follows the ranges that the networks publish.
var issuers = []issuer{
	{2200, 2204, len16to19},                                  // Mir
	{2221, 2720, len16},                                      // Mastercard
	{3000, 3059, len14 | len16}, {3095, 3095, len14 | len16}, // Diners Club
	{3400, 3499, len15}, {3700, 3799, len15}, // American Express
	{3528, 3589, len16to19},                                  // JCB
	{3600, 3699, len14 | len16}, {3800, 3999, len14 | len16}, // Diners Club
	{4000, 4999, len13 | len16 | 1<<19},              // Visa
	{5018, 5018, len12to19}, {5020, 5020, len12to19}, // Maestro
	{5038, 5038, len12to19}, {5060, 5061, len16to19}, // Maestro, Verve
	{5080, 5089, len16},                          // RuPay
	{5100, 5599, len16},                          // Mastercard
	{5893, 5893, len12to19},                      // Maestro
	{6011, 6011, len16to19}, {6062, 6062, len16}, // Discover, Hipercard
	{6200, 6299, len16to19},                      // UnionPay
	{6304, 6304, len12to19}, {6362, 6363, len16}, // Maestro, Elo
	{6440, 6599, len16to19},                          // Discover, RuPay, Verve
	{6759, 6759, len12to19}, {6761, 6763, len12to19}, // Maestro
	{8100, 8299, len16to19}, {9792, 9792, len16}, // UnionPay, RuPay, Troy
}

// cardLengths are the lengths that a number with the cluster's first digits may
// have; of a shorter cluster, all that it may still get.
func cardLengths(c *cluster) (lengths uint32) {
	low, high := 0, 0
	// Digits that have not come could be any.
	for i := range 4 {
		low, high = low*10, high*10+9
		if i < c.digits {
			low, high = low+int(c.value[i]), high-9+int(c.value[i])
		}
	}
	for _, r := range issuers {
		if r.from <= high && low <= r.to {
			lengths |= r.lengths
		}
	}
	return lengths
}
