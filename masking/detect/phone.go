package detect

const maxPhone = 15 // ITU-T E.164

// phone finds telephone numbers: with a country's code, and in the forms in
// which they are written at home in many countries. Forms that other numbers
// have too need a word that says so.
var phone = &Detector{
	info:      Info{"PHONE", "telephone numbers (E.164 and common national forms)", 2 + maxPhone + 14*maxBetween, 0.5},
	inDigits:  true,
	minDigits: 7,
	lag:       2,
	raise: []string{
		"phone*", "tel", "tél", "tele*", "télé*", "mobile*", "mob", "cell*", "call*", "fax", "contact*", "sms", "whatsapp", "dial",
		"handy*", "mobil*", "rufnummer", "anruf*", "portable", "móvil", "celular", "cellulare", "ring", "hotline", "number is",
	},
	lower: notPhones,
	verify: func(w *window, e *entry, at int) {
		start := at
		plus := w.before(at) == '+'
		if plus {
			start--
		}
		paren := w.before(start) == '('
		if paren {
			start--
		}
		if w.wordBefore(start) || !plus && w.joined(at) || start < w.floor {
			return
		}
		c := w.cluster(start, at)
		if c.digits < 7 && !c.open {
			return
		}
		n, open := c.phoneGroups()
		// Two zeros are dialled in a plus's place in most countries.
		if plus || c.groups[0].len() > 1 && c.value[0]+c.value[1] == 0 {
			international(w, e, c, phoneRun{start, n, open, plus})
			return
		}
		national(w, e, c, phoneRun{start, n, open, paren})
	},
	open: func(w *window, _ *entry) int {
		i := len(w.b)
		if i > w.floor && w.b[i-1] == '+' {
			i--
		}
		if i > w.floor && w.b[i-1] == '(' {
			i--
		}
		return i
	},
}

// notPhones are words before numbers that may look like people's.
var notPhones = []string{
	"order no", "order number*", "order id", "order #", "invoice*", "isbn", "ticket*", "tracking*", "serial*", "sku",
	"part no", "part number*",
}

// phoneRun is the part of a cluster that may be a telephone number.
type phoneRun struct {
	start int
	n     int  // groups
	open  bool // they may go on
	mark  bool // a plus, a parenthesis before it
}

// phoneGroups is how many groups are apart as in a telephone number.
func (c *cluster) phoneGroups() (n int, open bool) {
	for n = 1; n < c.n; n++ {
		if !phoneSep(c.groups[n].sep) {
			return n, false
		}
	}
	return n, c.cut || c.open && phoneSep(c.sep)
}

// phoneSep tells whether a character may stand in a telephone number.
func phoneSep(b byte) bool {
	switch b {
	case ' ', '-', '.', '/', '(', ')':
		return true
	}
	return false
}

// international looks for a number that begins with its country's code.
func international(w *window, e *entry, c *cluster, r phoneRun) {
	skip, base := 0, float32(0.8)
	if !r.mark {
		skip, base = 2, 0.55 // 0049
	}
	least, most := 8, maxPhone
	if c.digits > skip {
		switch c.value[skip] {
		case 0:
			return
		case 1:
			least, most = 11, 11 // North America
		}
	}
	if r.open && c.digits <= most+skip {
		if w.contextScore(e, r.start, base) >= e.threshold {
			w.wait(r.start)
		}
		return
	}
	for n := most; n >= least; n-- {
		if g := c.endsIn(n + skip); g >= 0 && g < r.n && !w.goesOn(c, g) {
			if !r.mark && (g == 0 || w.glued(r.start)) {
				base = 0.25 // any number with leading zeros
			}
			w.hit(e, r.start, c.groups[g].end, w.contextScore(e, r.start, base))
			return
		}
	}
}

// phoneForm is how numbers are grouped in a country.
type phoneForm struct {
	sizes string // of the groups
	first string // digits that it may begin with
	score float32
	paren bool // only behind a parenthesis
}

// phoneForms are the forms by how sure they are. Over 0.5 they count by
// themselves; what other numbers have too, prices, dates and orders, needs a
// word for a telephone. The numbers of groups are after the national
// plans that the ITU publishes (E.129); several countries share most of them.
// ':' and ';' are ten and eleven, behind '9' in ASCII.
var phoneForms = []phoneForm{
	{"334", "23456789", 0.6, false}, // North America
	{"1334", "1", 0.6, false},
	{"37", "23456789", 0.2, false},
	{"34", "23456789", 0.2, false},
	{"22222", "0", 0.6, false}, // France
	{"244", "0", 0.55, false},  // Japan, Australia
	{"344", "01", 0.55, false}, // London, Japan, China
	{"56", "0", 0.5, false},    // United Kingdom, Germany
	{"533", "0", 0.5, false},
	{"433", "0", 0.55, false}, // Australia, Ireland
	{"434", "0", 0.55, false}, // United Kingdom, Germany
	{"334", "0", 0.55, false},
	{"3322", "0", 0.55, false}, // Switzerland, Sweden
	{"46", "0", 0.5, false},    // Germany, Austria
	{"47", "0", 0.5, false},
	{"48", "0", 0.5, false},
	{"38", "0", 0.5, false},
	{"37", "0", 0.5, false},
	{"36", "0", 0.5, false},
	{"28", "0", 0.5, false},          // Netherlands
	{"254", "123456789", 0.65, true}, // Brazil
	{"244", "123456789", 0.65, true},
	{"55", "6789", 0.35, false},  // India
	{"333", "56789", 0.3, false}, // Spain, Poland
	{"3222", "6789", 0.3, false},
	{"37", "3", 0.35, false}, // Italy
	{"9", "56789", 0.15, false},
	{":", "0123456789", 0.2, false}, // ten digits without anything between
	{";", "01", 0.2, false},         // eleven
}

// national looks for a number in one of the forms.
func national(w *window, e *entry, c *cluster, r phoneRun) {
	delta, known := float32(0), false
	for i := range phoneForms {
		f := &phoneForms[i]
		if f.paren && !r.mark || !f.begins(c) {
			continue
		}
		full, may := f.fits(c, r)
		if !full && !may {
			continue
		}
		if !known {
			delta, known = w.contextScore(e, r.start, 0.5)-0.5, true
			if w.glued(r.start) {
				delta -= 0.3
			}
		}
		switch score := f.score + delta; {
		case score < e.threshold:
		case may:
			w.wait(r.start)
		case !w.goesOn(c, len(f.sizes)-1):
			w.hit(e, r.start, c.groups[len(f.sizes)-1].end, min(1, score))
		}
	}
}

// glued tells whether a dash or the like joins what begins at b[at] to a word
// before: ORD-0402-487406.
func (w *window) glued(at int) bool {
	switch w.before(at) {
	case '-', '_', '/', '.':
		return at >= 2 && is(w.before(at-1), isWord)
	}
	return false
}

// begins tells whether the first digits may be those of the form.
func (f *phoneForm) begins(c *cluster) bool {
	for i := range len(f.first) {
		if f.first[i]-'0' == c.value[0] {
			// In North America the exchange begins like the area.
			return f.sizes != "334" || c.digits < 4 || c.value[0] == 0 || c.value[3] >= 2
		}
	}
	return false
}

// fits tells whether the first groups are those of the form, and whether they
// may still become so.
// A separator behind the last group leaves the form possible, but not a longer
// group.
func (f *phoneForm) fits(c *cluster, r phoneRun) (full, may bool) {
	for i := range len(f.sizes) {
		want := int(f.sizes[i] - '0')
		if i >= r.n {
			return false, r.open
		}
		have := c.groups[i].len()
		if i == r.n-1 && r.open && (have == want || have < want && c.cut) {
			return false, true
		}
		if have != want {
			return false, false
		}
	}
	return true, false
}
