package detect

// Folded text consists of ASCII, of the UTF-8 of letters, and of these two.
const (
	symOther = 0xFF // a character that is no letter, digit or mark
	symBreak = 0xFE // too many ignorable characters in a row
)

// What a byte of folded text is.
const (
	isDigit  = 1 << iota
	isLetter // ASCII letters and all bytes of others
	isHex
	isLocal // what a mail address may have before its @
	isLabel // what a domain's label may have
	isToken // base64url, the letters of keys
	isSpace
	isSep // what may stand between groups of digits
	isUpper
	isAlnum   // ASCII letters and digits
	isCapital // and of letters only capitals

	isWord = isDigit | isLetter
)

// class tells what each byte of folded text is.
var class = makeClass()

func makeClass() (c [256]uint16) {
	mark := func(bytes string, bits uint16) {
		for i := range len(bytes) {
			c[bytes[i]] |= bits
		}
	}
	const digits, lower, upper = "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	mark(digits, isDigit|isLocal|isLabel|isToken)
	mark(lower+upper, isLetter|isLocal|isLabel|isToken)
	mark(digits+lower+upper, isAlnum)
	mark(digits+upper, isCapital)
	mark(upper, isUpper)
	mark(digits+"abcdefABCDEF", isHex)
	mark("._%+-'", isLocal)
	mark("-", isLabel)
	mark("-_", isToken)
	mark(" \t", isSpace)
	mark(" \t-./_,:|()", isSep)
	// Domains and local parts may be in any script (RFC 6531).
	for b := 0x80; b < symBreak; b++ {
		c[b] = isLetter | isLocal | isLabel
	}
	return c
}

func is(b byte, bits uint16) bool { return class[b]&bits != 0 }

// lowered is b in lower case if it is an ASCII letter.
func lowered(b byte) byte {
	if b-'A' < 26 {
		return b + 'a' - 'A'
	}
	return b
}
