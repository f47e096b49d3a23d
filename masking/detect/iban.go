package detect

import (
	"slices"
	"strings"
)

const maxIBAN = 34 // ISO 13616

// iban finds international bank account numbers: in a country's format,
// with the right check digits.
var iban = &Detector{
	info:     Info{"IBAN", "bank account numbers (format of the country, mod 97)", maxIBAN + (maxIBAN-2)*maxBetween, 0.5},
	inDigits: true,
	lag:      3,
	verify: func(w *window, e *entry, at int) {
		start := ibanStart(w, at)
		if start < w.floor {
			return
		}
		format := ibanFormat(w.b[start], w.b[start+1])
		if format == nil || w.wordBefore(start) {
			return
		}
		lim, final := w.ahead(start)
		if at >= lim {
			return
		}
		var letters [maxIBAN]byte
		end, n := ibanRead(w, at, lim, letters[2:], format)
		letters[0], letters[1] = w.b[start], w.b[start+1]
		edge, known := w.onEdge(end, lim, final)
		// What is too short, or has a letter where the country has digits, is none,
		// and holds nothing.
		switch {
		case n < len(format):
			if end == lim && !final {
				w.wait(start)
			}
		case !known:
			w.wait(start)
		case edge && mod97(letters[:2+n]):
			w.hit(e, start, end, 0.95)
		}
	},
	open: func(w *window, _ *entry) int {
		n := len(w.b)
		start := ibanStart(w, n)
		if start >= w.floor && !w.wordBefore(start) && ibanFormat(w.b[start], w.b[start+1]) != nil {
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

// ibanRead reads letters and digits from b[i] on, as far as they are those of
// the format.
func ibanRead(w *window, i, lim int, into []byte, format []uint16) (end, n int) {
	end = i
	for i < lim && n < len(format) {
		if c := w.b[i]; c < 0x80 && is(c, isWord) {
			if !is(c, format[n]) {
				return i, n
			}
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

// ibanRegistry is what follows the check digits in each country, as in the
// registry of ISO 13616 (SWIFT, release 99): so many digits (n), letters (a), or
// either (c).
const ibanRegistry = "AD 4n4n12c; AE 19n; AL 8n16c; AT 16n; AZ 4a20c; BA 16n; BE 12n; BG 4a6n8c; BH 4a14c; BI 23n; BR 23n1a1c; BY 4c4n16c; CH 5n12c; CR 18n; CY 8n16c; CZ " +
	"20n; DE 18n; DJ 23n; DK 14n; DO 4c20n; EE 16n; EG 25n; ES 20n; FI 14n; FK 2a12n; FO 14n; FR 10n11c2n; GB 4a14n; GE 2a16n; GI 4a15c; GL 14n; GR 7n16c; " +
	"GT 4c20c; HR 17n; HU 24n; IE 4a14n; IL 19n; IQ 4a15n; IS 22n; IT 1a10n12c; JO 4a4n18c; KW 4a22c; KZ 3n13c; LB 4n20c; LC 4a24c; LI 5n12c; LT 16n; LU " +
	"3n13c; LV 4a13c; LY 21n; MC 10n11c2n; MD 2c18c; ME 18n; MK 3n10c2n; MN 16n; MR 23n; MT 4a5n18c; MU 4a19n3a; NI 4a20n; NL 4a10n; NO 11n; OM 3n16c; PK " +
	"4a16c; PL 24n; PS 4a21c; PT 21n; QA 4a21c; RO 4a16c; RS 18n; RU 14n15c; SA 2n18c; SC 4a20n3a; SD 14n; SE 20n; SI 15n; SK 20n; SM 1a10n12c; SO 19n; ST " +
	"21n; SV 4a20n; TL 19n; TN 20n; TR 6n16c; UA 6n19c; VA 18n; VG 4a16n; XK 16n; YE 4a4n18c"

// ibanFormats has for each country the class of each character.
var ibanFormats = func() (formats [26 * 26][]uint16) {
	for entry := range strings.SplitSeq(ibanRegistry, ";") {
		country, parts, _ := strings.Cut(strings.TrimSpace(entry), " ")
		format := []uint16{isDigit, isDigit}
		n := 0
		for i := range len(parts) {
			switch c := parts[i]; {
			case is(c, isDigit):
				n = n*10 + int(c-'0')
			default:
				class := map[byte]uint16{'n': isDigit, 'a': isLetter, 'c': isAlnum}[c]
				format = append(format, slices.Repeat([]uint16{class}, n)...)
				n = 0
			}
		}
		formats[int(country[0]-'A')*26+int(country[1]-'A')] = format
	}
	return formats
}()

// ibanFormat is what follows a country's letters, nil if it has no numbers.
func ibanFormat(a, b byte) []uint16 {
	a, b = lowered(a)-'a', lowered(b)-'a'
	if a >= 26 || b >= 26 {
		return nil
	}
	return ibanFormats[int(a)*26+int(b)]
}
