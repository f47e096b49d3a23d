package dialect

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/wire"
)

// text is a string of the document while it is needed. It grows on the account
// of who sent it.
type text struct {
	in *wire.Intake
	b  []byte
}

func (t *text) reset() { t.b = t.b[:0] }

// add appends p; what the text needs beyond what it had is charged first.
func (t *text) add(p ...byte) error {
	if need := len(t.b) + len(p); need > cap(t.b) {
		grown := max(need, 2*cap(t.b), 64)
		if err := t.in.Charge(grown); err != nil {
			return err
		}
		t.b = append(make([]byte, 0, grown), t.b...)
	}
	t.b = append(t.b, p...)
	return nil
}

// taker takes the pieces of a string.
type taker interface{ add(p ...byte) error }

type forget struct{}

func (forget) add(...byte) error { return nil }

// text reads a string, whose quotation mark is next, into to.
func (l *lexer) text(to taker) error {
	l.pos++
	for {
		start := l.pos
		for l.pos < l.end && plain[l.buf[l.pos]] {
			l.pos++
		}
		if l.pos > start {
			if err := to.add(l.buf[start:l.pos]...); err != nil {
				return err
			}
		}
		c, ok := l.next()
		switch {
		case !ok:
			return l.fault(faultQuote)
		case plain[c]: // the window has moved on
		case c == '"':
			l.pos++
			return nil
		case c == '\\':
			if err := l.escape(to); err != nil {
				return err
			}
		case c == 0:
			return l.fault(faultQuote)
		default:
			return l.fault(faultEscape) // a control character
		}
	}
}

// skipText reads a string and forgets it.
func (l *lexer) skipText() error { return l.text(forget{}) }

// plain has the bytes that a string is made of as they stand.
var plain = func() (t [256]bool) {
	for c := ' '; c < 256; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// escapes has what a byte after a backslash stands for.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads a backslash and what follows it.
func (l *lexer) escape(to taker) error {
	at := l.offset()
	l.pos++
	c, ok := l.next()
	if !ok {
		return l.faultAt(faultEscape, at)
	}
	if e := escapes[c]; e != 0 {
		l.pos++
		return to.add(e)
	}
	if c != 'u' {
		return l.faultAt(faultEscape, at)
	}
	r, err := l.hex(at)
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) {
		if r, err = l.pair(r, at); err != nil {
			return err
		}
	}
	var b [utf8.UTFMax]byte
	return to.add(b[:utf8.EncodeRune(b[:], r)]...)
}

// hex reads a u and the four digits after it.
func (l *lexer) hex(at int64) (r rune, err error) {
	l.pos++
	for range 4 {
		c, ok := l.next()
		switch {
		case !ok:
			return 0, l.faultAt(faultHex, at)
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, l.faultAt(faultHex, at)
		}
		l.pos++
	}
	return r, nil
}

// pair reads the second half of a surrogate pair.
func (l *lexer) pair(high rune, at int64) (rune, error) {
	for _, want := range []byte(`\u`) {
		c, ok := l.next()
		if !ok || c != want {
			return 0, l.faultAt(faultSurrogate, at)
		}
		if want == '\\' {
			l.pos++
		}
	}
	low, err := l.hex(at)
	if err != nil {
		return 0, err
	}
	r := utf16.DecodeRune(high, low)
	if r == utf8.RuneError {
		return 0, l.faultAt(faultSurrogate, at)
	}
	return r, nil
}
