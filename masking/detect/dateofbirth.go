package detect

import "strings"

// dateOfBirth finds dates of people's births: any date behind a word that says
// so, as digits in any order or with the month's name.
var dateOfBirth = &Detector{
	info:     Info{"DATE_OF_BIRTH", "dates behind a word for birth", 2 + 2 + 3*maxBetween + len("septiembre") + 4, 0.5},
	inDigits: true,
	lag:      len("september") + maxBetween,
	raise: []string{
		"birth*", "born", "dob", "d.o.b", "bday", "b-day", "geboren*", "geburt*", "geb", "naissance", "né le", "née le", "nacimiento", "nacido", "nacida",
		"nascita", "nato il", "nata il", "nato a", "nata a", "nascimento", "nascido", "nascida", "geboorte*", "urodzen*", "urodzony", "urodzona", "生年月日", "出生*", "рожд*", "родил*",
	},
	verify: func(w *window, e *entry, at int) {
		if w.wordBefore(at) || w.joined(at) {
			return
		}
		// Both are tried: whether a month before the digits can still be seen must
		// not decide on what they are without it.
		if month := monthBefore(w, at); month >= 0 {
			verifyDate(w, e, month, at, namedEnd)
		}
		verifyDate(w, e, at, at, dateEnd)
	},
	open: func(w *window, e *entry) int {
		n := len(w.b)
		start := monthStart(w, n, true)
		if start < n && w.contextScore(e, start, 0.2) >= e.threshold {
			return start
		}
		return n
	},
}

// verifyDate reports the date that begins at start, if the word for it stands
// before.
func verifyDate(w *window, e *entry, start, at int, read func(*window, *cluster) (end int, open bool)) {
	c := w.cluster(start, at)
	end, open := read(w, c)
	if end == 0 && !open {
		return
	}
	switch score := w.contextScore(e, start, 0.2); {
	case score < e.threshold:
	case open || end == c.lim && !c.final:
		w.wait(start)
	case end > 0 && (end == c.lim || !is(w.b[end], isWord) || w.b[end] == 'T'): // 1980-03-12T00:00
		w.hit(e, start, end, score)
	}
}

// months are the beginnings of their names in the languages whose words for
// birth are known, three letters each.
const months = "jan feb mar apr may jun jul aug sep oct nov dec " +
	"mär mai okt dez fév avr aoû déc ene abr ago dic gen mag giu lug set ott fev out sty lut kwi maj cze lip sie wrz paź lis gru mrt mei"

// monthNames are the same as they look in folded text.
var monthNames = strings.Fields(foldWord(months))

// isMonth tells whether a word, or with part its beginning, is a month's name.
func isMonth(word []byte, part bool) bool {
	if len(word) > len("september")+1 {
		return false
	}
	var low [12]byte
	n := min(len(word), 3)
	for i := range n {
		low[i] = lowered(word[i])
	}
	for _, name := range monthNames {
		if part && len(word) < 3 && strings.HasPrefix(name, string(low[:n])) || n == 3 && name == string(low[:n]) {
			return true
		}
	}
	return false
}

// monthStart is where the month's name before b[at] begins, with little
// between; at if there is none. With part it may be the beginning of one.
func monthStart(w *window, at int, part bool) int {
	end := at
	for n := 0; n < maxBetween && end > w.floor && is(w.b[end-1], isSep); n++ {
		end--
	}
	start := end
	for start > w.floor && end-start < 12 && is(w.b[start-1], isLetter) {
		start--
	}
	if start == end || !isMonth(w.b[start:end], part && end == at) {
		return at
	}
	return start
}

// monthBefore is the same, -1 if there is none.
func monthBefore(w *window, at int) int {
	if start := monthStart(w, at, false); start < at && !w.wordBefore(start) {
		return start
	}
	return -1
}

// namedEnd is where the date ends that begins with a month's name before the
// cluster, 0 if it is none. open tells that more of it may come.
func namedEnd(w *window, c *cluster) (end int, open bool) {
	switch {
	case c.n == 1 && c.open:
		return 0, true
	case c.n > 1 && c.groups[0].len() <= 2:
		return c.year(1)
	case c.groups[0].len() == 4: // March 1980
		return c.groups[0].end, c.cut
	}
	return ordinalYear(w, c)
}

// dateEnd is the same of a date that begins with the cluster.
func dateEnd(w *window, c *cluster) (end int, open bool) {
	if c.n == 1 && c.groups[0].len() <= 2 {
		return namedDate(w, c.groups[0].end, c.lim, c.final)
	}
	if c.n == 1 && c.groups[0].len() == 8 {
		return c.groups[0].end, c.open // 19800312
	}
	if c.n < 3 {
		return 0, c.open
	}
	// In which order day and month are written does not matter here.
	first, second := c.number(0), c.number(1)
	if long := c.groups[0].len() == 4; long && second <= 12 && c.groups[2].len() <= 2 && c.number(2) <= 31 {
		return c.groups[2].end, c.cut && c.n == 3
	} else if long || first > 31 || second > 31 || first > 12 && second > 12 || first == 0 || second == 0 {
		return 0, false
	}
	return c.year(2)
}

// year is the end of group i, if it is a year.
func (c *cluster) year(i int) (end int, open bool) {
	g := &c.groups[i]
	switch {
	case c.cut && i == c.n-1 && g.len() <= 4:
		return 0, true
	case g.len() != 2 && g.len() != 4:
		return 0, false
	}
	return g.end, false
}

// namedDate reads what is behind the day in 12 March 1980, 12th of March 1980.
func namedDate(w *window, i, lim int, final bool) (end int, open bool) {
	for words := 0; words < 3; words++ {
		for n := 0; n < maxBetween && i < lim && is(w.b[i], isSep); n++ {
			i++
		}
		from := i
		for i < lim && is(w.b[i], isLetter) {
			i++
		}
		switch word := w.b[from:i]; {
		case i == lim && !final:
			return 0, len(word) <= 12
		case isMonth(word, false):
			return yearBehind(w, i, lim, final)
		case !connective(string(word)):
			return 0, false
		}
	}
	return 0, false
}

// connective tells whether a word may stand between day and month.
func connective(word string) bool {
	switch word {
	case "st", "nd", "rd", "th", "of", "de", "do", "er", "º", "o":
		return true
	}
	return false
}

// yearBehind reads a year behind b[i], with a word between in some languages.
func yearBehind(w *window, i, lim int, final bool) (end int, open bool) {
	for n := 0; n < maxBetween && i < lim && is(w.b[i], isSep); n++ {
		i++
	}
	if i+3 <= lim && w.b[i] == 'd' && w.b[i+1] == 'e' && w.b[i+2] == ' ' {
		i += 3
	} else if lim-i < 3 && !final && strings.HasPrefix("de ", string(w.b[i:lim])) {
		return 0, true
	}
	from := i
	for i < lim && i-from <= 4 && is(w.b[i], isDigit) {
		i++
	}
	switch {
	case i == lim && !final:
		return 0, true
	case i-from != 4 && i-from != 2:
		return 0, false
	}
	return i, false
}

// ordinalYear reads what is behind the day in March 12th, 1980.
func ordinalYear(w *window, c *cluster) (end int, open bool) {
	lim, final := c.lim, c.final
	i := c.groups[0].end
	if c.n > 1 || c.groups[0].len() > 2 {
		return 0, false
	}
	from := i
	for i < lim && i-from < 3 && is(w.b[i], isLetter) {
		i++
	}
	switch {
	case i == lim && !final:
		return 0, true
	case !connective(string(w.b[from:i])):
		return 0, false
	}
	return yearBehind(w, i, lim, final)
}
