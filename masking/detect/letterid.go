package detect

import "strings"

// letterForm is how a national number with letters looks: L is a letter, D a
// digit, A either.
type letterForm struct {
	pattern string
	before  int    // letters before the first digit
	gaps    string // before which characters a space, dash or dot may stand, as digits
	spaced  bool   // a space also before others than the last
	score   float32
	valid   func(string) bool // of the number in capitals; nil: all are
}

// maxPattern is the length of the longest pattern, and a little.
const maxPattern = 24

// newLetterID makes a detector of national numbers with letters.
func newLetterID(info Info, forms []letterForm, raise ...string) *Detector {
	info.Threshold = 0.5
	d := &Detector{info: info, inDigits: true, raise: raise}
	for i := range forms {
		f := &forms[i]
		f.before = strings.IndexByte(f.pattern, 'D')
		length := len(f.pattern)
		d.lag = max(d.lag, f.before)
		if f.gaps != "" {
			length += len(f.gaps)
			d.lag = max(d.lag, f.before+len(f.gaps))
		}
		d.info.Longest = max(d.info.Longest, length)
	}
	d.verify = func(w *window, e *entry, at int) {
		for i := range forms {
			forms[i].verify(w, e, at)
		}
	}
	d.open = func(w *window, e *entry) int {
		first := len(w.b)
		for i := range forms {
			if start := forms[i].open(w); start < first && w.contextScore(e, start, forms[i].score) >= e.threshold {
				first = start
			}
		}
		return first
	}
	return d
}

// between tells whether b may stand before character k of the number.
func (f *letterForm) between(b byte, k int) bool {
	if strings.IndexByte(f.gaps, byte('0'+k)) < 0 {
		return false
	}
	return b == '-' || b == '.' || b == ' ' && (f.spaced || k == len(f.pattern)-1)
}

// begin is where the letters before b[at] begin, -1 if there are not enough.
// short is the first of them that may be the number's.
func (f *letterForm) begin(w *window, at int) (start, short int) {
	start, short = at, at
	letters := uint16(isLetter)
	for k := f.before; k > 0; k-- {
		i := start
		if i > w.floor && f.between(w.b[i-1], k) {
			i--
			letters = isUpper // "is 42" begins no number
		}
		if i == w.floor || w.b[i-1] >= 0x80 || !is(w.b[i-1], letters) {
			return -1, short
		}
		if start = i - 1; !w.wordBefore(start) {
			short = start
		}
	}
	return start, short
}

// open is where the letters of a number may have begun whose digits have not
// come.
func (f *letterForm) open(w *window) int {
	n := len(w.b)
	_, short := f.begin(w, n)
	return short
}

// verify looks for a number whose first digit is b[at].
func (f *letterForm) verify(w *window, e *entry, at int) {
	// The anchor is the first digit: letters are everywhere, digits are not.
	start, _ := f.begin(w, at)
	if start < w.floor || w.wordBefore(start) || f.before == 0 && w.joined(at) {
		return
	}
	lim, final := w.ahead(start)
	var number [maxPattern]byte
	i := start
	for k := range len(f.pattern) {
		if k > 0 && i < lim && f.between(w.b[i], k) {
			i++
		}
		if i >= lim {
			// A score that can't suffice is no reason to hold anything.
			if !final && w.contextScore(e, start, f.score) >= e.threshold {
				w.wait(start)
			}
			return
		}
		c := w.b[i]
		digit := is(c, isDigit)
		if !is(c, isAlnum) || f.pattern[k] == 'D' && !digit || f.pattern[k] == 'L' && digit {
			return
		}
		number[k] = c
		if !digit {
			number[k] = lowered(c) - 'a' + 'A'
		}
		i++
	}
	edge, known := w.onEdge(i, lim, final)
	if !edge || f.valid != nil && !f.valid(string(number[:len(f.pattern)])) {
		return
	}
	switch score := w.contextScore(e, start, f.score); {
	case score < e.threshold:
	case !known:
		w.wait(start)
	default:
		w.hit(e, start, i, score)
	}
}
