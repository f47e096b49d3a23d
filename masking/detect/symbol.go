package detect

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// What symbol gives besides characters.
const (
	ignored     rune = -1
	symbolOther rune = -2
	symbolBreak rune = -3
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain is how many bytes at the beginning of b stand for themselves: ASCII
// but for the backslash and control characters.
func plain(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		slash := x ^ ones*'\\'
		del := x ^ ones*0x7F
		// A byte below 0x20 or equal to one of the two borrows into its top bit,
		// and so may the bytes above it: what is found is looked at one by one.
		found := (x | (x-ones*0x20)&^x | (slash-ones)&^slash | (del-ones)&^del) & highs
		for found != 0 {
			k := bits.TrailingZeros64(found) / 8
			if special[b[i+k]] {
				return i + k
			}
			found &^= 0xFF << (8 * k)
		}
	}
	for ; i < len(b); i++ {
		if special[b[i]] {
			return i
		}
	}
	return i
}

// letters is how many bytes at the beginning of b are letters beyond ASCII that
// stand for themselves.
func letters(b []byte) int {
	if b[0] < 0xC2 {
		return 0
	}
	table := meanings()
	i := 0
	for i < len(b) && b[i] >= 0xC2 {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError || r >= 0x10000 || table[r] != meansItself {
			break
		}
		i += n
	}
	return i
}

// special holds the bytes that symbol has to read.
var special = func() (s [256]bool) {
	for b := range s {
		s[b] = b >= 0x7F || b == '\\' || b < ' ' && (b < '\t' || b > '\r')
	}
	return s
}()

// symbol reads the character at the beginning of b, which is not plain, and
// says how many bytes it takes: at most longestSymbol. 0 bytes: its rest is not
// there yet.
func symbol(b []byte, eof bool) (rune, int) {
	switch {
	case b[0] == '\\':
		return escape(b, eof)
	case b[0] < 0x80:
		return ignored, 1
	case !eof && !utf8.FullRune(b):
		return 0, 0
	}
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n == 1 {
		return symbolOther, 1
	}
	return meaning(r), n
}

// escape reads what begins with a backslash, as JSON does. A backslash before
// another is ignorable, so that text which was escaped twice reads the same.
func escape(b []byte, eof bool) (rune, int) {
	if len(b) == 1 {
		if eof {
			return '\\', 1
		}
		return 0, 0
	}
	switch b[1] {
	case '\\':
		return ignored, 1
	case '/', '"':
		return rune(b[1]), 2
	case 'n', 'r':
		return '\n', 2
	case 't', 'b', 'f':
		return ' ', 2
	case 'u':
		return escapedUnit(b, eof)
	}
	return '\\', 1
}

// escapedUnit reads \uXXXX, and two of them where they are the halves of one
// character.
func escapedUnit(b []byte, eof bool) (rune, int) {
	u, ok := unit(b)
	switch {
	// What can't become an escape any more is a backslash at once.
	case !ok && len(b) < 6 && !eof:
		return 0, 0
	case !ok || u < 0:
		return '\\', 1
	case utf16.IsSurrogate(u):
		// The pair is one character; half of one is waited for.
		low, ok := unit(b[6:])
		if !ok && !eof {
			return 0, 0
		}
		if r := utf16.DecodeRune(u, low); ok && r != unicode.ReplacementChar {
			return meaning(r), 12
		}
		return symbolOther, 6
	case u < 0x80:
		if special[u] && u != '\\' {
			return ignored, 6
		}
		return u, 6
	}
	return meaning(u), 6
}

// unit reads \uXXXX. ok is false where its end is missing; the value is -1
// where it is something else.
func unit(b []byte) (u rune, ok bool) {
	for i := range 6 {
		if i == len(b) {
			return 0, false
		}
		c := lowered(b[i])
		switch {
		case i == 0 && c == '\\' || i == 1 && b[1] == 'u':
		case i > 1 && c-'0' < 10:
			u = u<<4 | rune(c-'0')
		case i > 1 && c-'a' < 6:
			u = u<<4 | rune(c-'a'+10)
		default:
			return -1, true
		}
	}
	return u, true
}

// meaning is what a character that is not ASCII stands for.
func meaning(r rune) rune {
	if r < 0x10000 {
		switch m := meanings()[r]; m {
		case meansItself:
			return r
		case meansMore:
		case meansOther:
			return symbolOther
		case meansNothing:
			return ignored
		default:
			return rune(m)
		}
	}
	return find(r)
}

// What meanings holds besides ASCII.
const (
	meansItself = iota
	meansNothing
	meansOther
	meansMore // find knows
)

// meanings is find for the characters that have 16 bits: made once, when the
// first text comes that is not ASCII, in some milliseconds.
var meanings = sync.OnceValue(func() *[0x10000]byte {
	var m [0x10000]byte
	for r := rune(0x80); r < 0x10000; r++ {
		switch f := find(r); {
		case f == r:
			m[r] = meansItself
		case f == ignored:
			m[r] = meansNothing
		case f == symbolOther:
			m[r] = meansOther
		case f < 0x80:
			m[r] = byte(f)
		default:
			m[r] = meansMore
		}
	}
	return &m
})

// find looks a character's meaning up in Unicode's tables.
func find(r rune) rune {
	if a, ok := lookAlikes[r]; ok {
		return a
	}
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Cc):
		return ignored
	case unicode.Is(unicode.Nd, r):
		return '0' + digitValue(r)
	case unicode.Is(unicode.Zs, r):
		return ' '
	}
	// One form may be of another: a circled digit of another script.
	if d, ok := decomposed(r); ok {
		if d < 0x80 {
			return d
		}
		return find(d)
	}
	if unicode.In(r, unicode.L, unicode.Mc, unicode.Nl) {
		return r
	}
	return symbolOther
}

// digitValue is the value of a decimal digit: Unicode has them in tens, in
// ascending order.
func digitValue(r rune) rune {
	for _, t := range unicode.Nd.R16 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return (r - rune(t.Lo)) % 10
		}
	}
	for _, t := range unicode.Nd.R32 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return (r - rune(t.Lo)) % 10
		}
	}
	return 0
}

// decomposed is the one character that r is a form of, marks left out: full
// width, circled, mathematical, accented.
func decomposed(r rune) (rune, bool) {
	if unicode.Is(unicode.Hangul, r) {
		return 0, false // syllables, which decompose into letters of their own
	}
	base, found := rune(0), false
	for _, d := range string(norm.NFKD.PropertiesString(string(r)).Decomposition()) {
		switch {
		case unicode.Is(unicode.Mn, d):
		case found:
			return 0, false
		default:
			base, found = d, true
		}
	}
	return base, found && base != r
}

// lookAlikes are characters that stand for an ASCII one without Unicode saying
// so, or otherwise than it says.
var lookAlikes = func() map[rune]rune {
	m := map[rune]rune{
		0x85: '\n', 0x2028: '\n', 0x2029: '\n',
		0x3002: '.', 0x2024: '.', 0xB7: '.', 0x2022: '.', 0x2027: '.', 0x22C5: '.', 0x30FB: '.', 0xFF61: '.', 0xFF65: '.',
		0x2236: ':', 0xA789: ':', 0x2215: '/', 0x2044: '/', 0x29F8: '/', 0x02CB: '`', 0x2019: '\'',
		0x2800: ' ', 0x24FF: '0', 0x1F10C: '0', 0x3000: ' ', 0xAB: '"', 0xBB: '"',
	}
	for _, r := range []rune{0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2043, 0x2212, 0x2796, 0x30FC, 0xFF70, 0xFE58, 0xFE63, 0xFF0D, 0x02D7, 0x06D4} {
		m[r] = '-'
	}
	for _, one := range []rune{0x2776, 0x2780, 0x278A, 0x24F5} { // circled digits from one on
		for i := range rune(9) {
			m[one+i] = '1' + i
		}
	}
	return m
}()
