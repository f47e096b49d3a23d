package dialect

import (
	"math"
	"strconv"
	"unsafe"
)

// number is a number of the document: as a double, and exactly where it is
// written as an integer that 64 bits hold.
type number struct {
	float    float64
	digits   uint64 // the magnitude of an integer
	integer  bool
	negative bool
}

// int64 is the number, if it is an integer that an int64 holds.
func (n number) int64() (int64, bool) {
	switch {
	case !n.integer:
		return 0, false
	case n.negative:
		return -int64(n.digits), n.digits <= 1<<63
	default:
		return int64(n.digits), n.digits < 1<<63
	}
}

// uint64 is the number, if it is an integer that a uint64 holds.
func (n number) uint64() (uint64, bool) {
	return n.digits, n.integer && (!n.negative || n.digits == 0)
}

// exactPowers are the powers of ten that a double holds exactly.
var exactPowers = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

const (
	maxExact  = 1 << 53 // integers below are doubles exactly
	maxDigits = 19      // that many always fit into a uint64
)

// number reads a number. NaN, Inf and Infinity are numbers, as for Triton.
func (l *lexer) number() (n number, err error) {
	for l.end-l.pos < maxToken && l.fill() { // so that the whole token is in the window
	}
	b, i := l.buf[l.pos:l.end], 0
	at := func(i int) byte {
		if i < len(b) {
			return b[i]
		}
		return 0
	}
	if at(0) == '-' {
		n.negative = true
		i++
	}
	if c := at(i); c == 'N' || c == 'I' {
		l.pos += i
		return l.notFinite(n)
	}
	first := i
	for i < len(b) && b[i]-'0' <= 9 {
		n.digits = n.digits*10 + uint64(b[i]-'0')
		i++
	}
	switch count := i - first; {
	case count == 0:
		l.pos += i
		return n, l.fault(faultValue)
	case b[first] == '0' && count > 1: // a leading zero is a number by itself
		i, n.digits = first+1, 0
	case count > maxDigits:
		return l.long(b, first, i, n)
	}
	return l.rest(b, i, i-first, n)
}

// rest reads a number on from the end of its integer part.
func (l *lexer) rest(b []byte, i, count int, n number) (number, error) {
	exponent := 0
	n.integer = true
	if i < len(b) && b[i] == '.' {
		n.integer = false
		i++
		first := i
		for i < len(b) && b[i]-'0' <= 9 {
			if count < maxDigits {
				n.digits = n.digits*10 + uint64(b[i]-'0')
				exponent--
			}
			if n.digits != 0 {
				count++
			}
			i++
		}
		if i == first {
			l.pos += i
			return n, l.fault(faultFraction)
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		n.integer = false
		digits, end, ok := exponentOf(b, i+1)
		if !ok {
			l.pos += end
			return n, l.fault(faultExponent)
		}
		i, exponent = end, exponent+digits
	}
	if i >= maxToken {
		return n, l.fault(faultTooBig)
	}
	return n, l.convert(&n, b[:i], exponent, count <= maxDigits)
}

// exponentOf reads an exponent's sign and digits.
func exponentOf(b []byte, i int) (value, end int, ok bool) {
	negative := false
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		negative = b[i] == '-'
		i++
	}
	first := i
	for i < len(b) && b[i]-'0' <= 9 {
		value = min(value*10+int(b[i]-'0'), math.MaxInt16)
		i++
	}
	if negative {
		value = -value
	}
	return value, i, i > first
}

// convert makes the double of a token, and consumes it. An integer below 2^53 and
// a power of ten up to 10^22 are doubles exactly, so that their product or
// quotient is rounded once, which is what correct rounding is (Clinger, 1990);
// everything else is strconv's.
func (l *lexer) convert(n *number, token []byte, exponent int, exact bool) error {
	switch {
	case exact && n.digits < maxExact && exponent >= 0 && exponent < len(exactPowers):
		n.float = float64(n.digits) * exactPowers[exponent]
	case exact && n.digits < maxExact && exponent < 0 && -exponent < len(exactPowers):
		n.float = float64(n.digits) / exactPowers[-exponent]
	default:
		f, err := strconv.ParseFloat(unsafe.String(&token[0], len(token)), 64)
		if err != nil {
			return l.fault(faultTooBig)
		}
		n.float = f
		l.pos += len(token)
		return nil
	}
	if n.negative {
		n.float = -n.float
	}
	l.pos += len(token)
	return nil
}

// long reads a number whose integer part has more digits than always fit: it may
// still be a uint64, and is a double in any case.
func (l *lexer) long(b []byte, first, i int, n number) (number, error) {
	exact, err := strconv.ParseUint(unsafe.String(&b[first], i-first), 10, 64)
	n, failed := l.rest(b, i, maxDigits+1, n)
	n.digits, n.integer = exact, n.integer && err == nil
	return n, failed
}

// notFinite reads NaN, Inf or Infinity.
func (l *lexer) notFinite(n number) (number, error) {
	if l.buf[l.pos] == 'N' {
		n.float = math.NaN()
		return n, l.word("NaN")
	}
	if err := l.word("Inf"); err != nil {
		return n, err
	}
	n.float = math.Inf(1)
	if n.negative {
		n.float = math.Inf(-1)
	}
	if c, ok := l.next(); ok && c == 'i' {
		return n, l.word("inity")
	}
	return n, nil
}
