package detect

const maxIBAN = 34 // ISO 13616

// iban finds international bank account numbers: of a country's length, with
// the right check digits.
var iban = &Detector{
	info:     Info{"IBAN", "bank account numbers (length of the country, mod 97)", maxIBAN + (maxIBAN-2)*maxBetween, 0.5},
	inDigits: true,
	lag:      3,
	verify: func(w *window, e *entry, at int) {
		start := ibanStart(w, at)
		if start < w.floor {
			return
		}
		want := ibanLength(w.b[start], w.b[start+1])
		if want == 0 || w.wordBefore(start) {
			return
		}
		lim, final := w.ahead(start)
		if at >= lim {
			return
		}
		var letters [maxIBAN]byte
		end, n := ibanRead(w, at, lim, letters[2:want])
		letters[0], letters[1] = w.b[start], w.b[start+1]
		edge, known := w.onEdge(end, lim, final)
		switch {
		case n < want-2:
			if end == lim && !final {
				w.wait(start)
			}
		case !known:
			w.wait(start)
		case edge && mod97(letters[:want]):
			w.hit(e, start, end, 0.95)
		}
	},
	open: func(w *window, _ *entry) int {
		n := len(w.b)
		start := ibanStart(w, n)
		if start >= w.floor && !w.wordBefore(start) && ibanLength(w.b[start], w.b[start+1]) > 0 {
			return start
		}
		if n > w.floor && is(w.b[n-1], isLetter) && !w.wordBefore(n-1) {
			return n - 1
		}
		return n
	},
}

// ibanStart is where the two letters of a country stand before b[at], -1 if
// they don't; small letters only directly before it.
func ibanStart(w *window, at int) int {
	i := at
	letters := isLetter
	if i > w.floor && inIBAN(w.b[i-1]) {
		i--
		letters = isUpper // "is 42" begins no number
	}
	if i-2 < w.floor || !is(w.b[i-1], uint16(letters)) || !is(w.b[i-2], uint16(letters)) {
		return -1
	}
	return i - 2
}

// ibanRead reads letters and digits from b[i] on until it has enough.
func ibanRead(w *window, i, lim int, into []byte) (end, n int) {
	end = i
	for i < lim && n < len(into) {
		if c := w.b[i]; c < 0x80 && is(c, isWord) {
			into[n] = c
			n++
			i++
			end = i
			continue
		}
		from := i
		for i < lim && i-from < maxBetween && inIBAN(w.b[i]) {
			i++
		}
		switch {
		case i == from:
			return end, n
		case i == lim:
			return lim, n
		}
	}
	return end, n
}

// inIBAN tells whether a character may stand between the groups of a number.
func inIBAN(b byte) bool { return b == ' ' || b == '-' || b == '.' || b == '/' || b == '_' }

// mod97 tells whether the check digits are right (ISO 7064, MOD 97-10).
func mod97(iban []byte) bool {
	sum := 0
	for i := range iban {
		c := lowered(iban[(i+4)%len(iban)])
		if c-'0' < 10 {
			sum = sum*10 + int(c-'0')
		} else {
			sum = sum*100 + int(c-'a') + 10
		}
		sum %= 97
	}
	return sum == 1
}

// ibanLength is the length of a country's numbers, 0 if it has none. The list
// is that of the registry of ISO 13616 (SWIFT), release 99.
func ibanLength(a, b byte) int {
	switch string([]byte{lowered(a), lowered(b)}) {
	case "no":
		return 15
	case "be":
		return 16
	case "dk", "fi", "fo", "gl", "nl", "sd", "fk":
		return 18
	case "mk", "si":
		return 19
	case "at", "ba", "ee", "kz", "lt", "lu", "xk", "mn":
		return 20
	case "ch", "cr", "hr", "li", "lv":
		return 21
	case "bg", "bh", "de", "gb", "ge", "ie", "me", "rs", "va":
		return 22
	case "ae", "gi", "il", "iq", "tl", "om", "so":
		return 23
	case "ad", "cz", "es", "md", "pk", "ro", "sa", "se", "sk", "tn", "vg":
		return 24
	case "ly", "pt", "st":
		return 25
	case "is", "tr":
		return 26
	case "bi", "dj", "fr", "gr", "it", "mc", "mr", "sm":
		return 27
	case "al", "az", "by", "cy", "do", "gt", "hu", "lb", "pl", "sv", "ni":
		return 28
	case "br", "eg", "ps", "qa", "ua":
		return 29
	case "jo", "kw", "mu", "ye":
		return 30
	case "mt", "sc":
		return 31
	case "lc":
		return 32
	case "ru":
		return 33
	}
	return 0
}
