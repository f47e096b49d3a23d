package dialect

import (
	"errors"
	"io"

	"github.com/sluice-gateway/sluice/wire"
)

const (
	// window is how much of a document is in memory at a time, in bytes: a size
	// that gRPC's pool has buffers of (a larger one costs a megabyte, zeroed).
	window = 32 << 10
	// maxToken is the longest number; what is longer is none that any type holds.
	maxToken = 1 << 10
	// maxDepth is how deep values may lie in one another, as in Triton from 2.6x
	// on; an older one dies of too many (protocol/kserve-v2.md, section 4).
	maxDepth = 100
)

// The texts of the reader that Triton has (RapidJSON), which clients see.
const (
	faultEmpty     = "The document is empty."
	faultRoot      = "The document root must not be followed by other values."
	faultValue     = "Invalid value."
	faultName      = "Missing a name for object member."
	faultColon     = "Missing a colon after a name of object member."
	faultMember    = "Missing a comma or '}' after an object member."
	faultElement   = "Missing a comma or ']' after an array element."
	faultHex       = `Incorrect hex digit after \u escape in string.`
	faultSurrogate = "The surrogate pair in string is invalid."
	faultEscape    = "Invalid escape character in string."
	faultQuote     = "Missing a closing quotation mark in string."
	faultTooBig    = "Number too big to be stored in double."
	faultFraction  = "Miss fraction part in number."
	faultExponent  = "Miss exponent in number."
	endOfDocument  = byte(0) // what peek returns there; it begins no value
	unlimited      = int64(1) << 62
)

// lexer reads a JSON document from a stream, token by token.
type lexer struct {
	src      io.Reader
	own      *[]byte
	buf      []byte
	pos, end int
	base     int64 // where buf begins in the document
	left     int64 // of the document, not read from src yet
	ended    bool  // src has ended, or left has
	failed   error // what src failed with, other than its end
	depth    int
	tee      *sink // gets what is read while it is set, from mark on
	mark     int
}

// newLexer reads at most n bytes of src: what follows is not JSON, and is not
// taken from src.
func newLexer(src io.Reader, n int64, in *wire.Intake) (*lexer, error) {
	if err := in.Charge(window); err != nil {
		return nil, err
	}
	own := in.Pool().Get(window)
	return &lexer{src: src, left: n, own: own, buf: *own}, nil
}

// close gives the window back.
func (l *lexer) close(in *wire.Intake) { in.Pool().Put(l.own) }

// offset is where the next byte lies in the document.
func (l *lexer) offset() int64 { return l.base + int64(l.pos) }

// fill reads more, keeping what has not been consumed at the window's beginning.
// It returns whether there is more than before.
func (l *lexer) fill() bool {
	if l.ended {
		return false
	}
	if l.tee != nil {
		if l.failed = l.tee.write(l.buf[l.mark:l.pos]); l.failed != nil {
			l.ended = true
			return false
		}
		l.mark = 0
	}
	l.base += int64(l.pos)
	l.end = copy(l.buf, l.buf[l.pos:l.end])
	l.pos = 0
	into := l.buf[l.end:]
	if int64(len(into)) > l.left {
		into = into[:l.left]
	}
	for range 100 { // as bufio: a reader that gives nothing for ever is broken
		n, err := 0, io.EOF
		if len(into) > 0 {
			n, err = l.src.Read(into)
		}
		l.end += n
		l.left -= int64(n)
		if err != nil {
			l.ended = true
			if !errors.Is(err, io.EOF) {
				l.failed = err
			}
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
	l.ended, l.failed = true, io.ErrNoProgress
	return false
}

// fault is a syntax error here, unless the body itself could not be read.
func (l *lexer) fault(what string) error { return l.faultAt(what, l.offset()) }

func (l *lexer) faultAt(what string, at int64) error {
	if l.failed != nil {
		return l.failed
	}
	return fault(what, at)
}

// peek skips white space and returns the next byte, without consuming it.
func (l *lexer) peek() byte {
	for {
		for l.pos < l.end {
			switch c := l.buf[l.pos]; c {
			case ' ', '\n', '\r', '\t':
				l.pos++
			default:
				return c
			}
		}
		if !l.fill() {
			return endOfDocument
		}
	}
}

// next returns the next byte, without skipping anything or consuming it.
func (l *lexer) next() (byte, bool) {
	if l.pos == l.end && !l.fill() {
		return 0, false
	}
	return l.buf[l.pos], true
}

// root returns the first byte of the document's value.
func (l *lexer) root() (byte, error) {
	if c := l.peek(); c != endOfDocument || l.pos < l.end {
		return c, nil
	}
	return 0, l.fault(faultEmpty)
}

// finish wants nothing but white space until the document's end.
func (l *lexer) finish() error {
	if l.peek(); l.pos < l.end {
		return l.fault(faultRoot)
	}
	return l.failed
}

// enter goes one level deeper.
func (l *lexer) enter() error {
	l.pos++
	if l.depth++; l.depth > maxDepth {
		return tooDeep
	}
	return nil
}

// object reads an object, whose brace is next, and has each member's value read
// by member. The key is valid until then: an object within may read its own into
// the same text. Nothing recurses deeper than maxDepth, so that no document can
// take a goroutine's stack.
func (l *lexer) object(key *text, member func(key []byte) error) error {
	if err := l.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		c := l.peek()
		switch {
		case c == '}' && first:
			l.pos++
			l.depth--
			return nil
		case c != '"':
			return l.fault(faultName)
		}
		key.reset()
		if err := l.text(key); err != nil {
			return err
		}
		if l.peek() != ':' {
			return l.fault(faultColon)
		}
		l.pos++
		l.peek()
		if err := member(key.b); err != nil {
			return err
		}
		switch l.peek() {
		case ',':
			l.pos++
		case '}':
			l.pos++
			l.depth--
			return nil
		default:
			return l.fault(faultMember)
		}
	}
}

// array reads an array, whose bracket is next, and has each element read by element.
func (l *lexer) array(element func() error) error {
	if err := l.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		if c := l.peek(); c == ']' && first {
			l.pos++
			l.depth--
			return nil
		}
		if err := element(); err != nil {
			return err
		}
		switch l.peek() {
		case ',':
			l.pos++
		case ']':
			l.pos++
			l.depth--
			return nil
		default:
			return l.fault(faultElement)
		}
	}
}

// skip reads a value and forgets it. It checks it as strictly as one that is
// kept: a body that is no JSON is refused wherever it is not.
func (l *lexer) skip() error {
	switch c := l.peek(); c {
	case '{':
		return l.skipObject()
	case '[':
		return l.array(l.skip)
	case '"':
		return l.skipText()
	case 't', 'f', 'n':
		_, err := l.literal()
		return err
	default:
		_, err := l.number()
		return err
	}
}

// skipObject is object without keeping the keys.
func (l *lexer) skipObject() error {
	if err := l.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		switch c := l.peek(); {
		case c == '}' && first:
			l.pos++
			l.depth--
			return nil
		case c != '"':
			return l.fault(faultName)
		}
		if err := l.skipText(); err != nil {
			return err
		}
		if l.peek() != ':' {
			return l.fault(faultColon)
		}
		l.pos++
		if err := l.skip(); err != nil {
			return err
		}
		switch l.peek() {
		case ',':
			l.pos++
		case '}':
			l.pos++
			l.depth--
			return nil
		default:
			return l.fault(faultMember)
		}
	}
}

// literal reads true, false or null, and returns its first letter.
func (l *lexer) literal() (byte, error) {
	first := l.buf[l.pos]
	want := "true"
	switch first {
	case 'f':
		want = "false"
	case 'n':
		want = "null"
	}
	return first, l.word(want)
}

// word consumes exactly word.
func (l *lexer) word(word string) error {
	for i := range len(word) {
		if c, ok := l.next(); !ok || c != word[i] {
			return l.fault(faultValue)
		}
		l.pos++
	}
	return nil
}

// capture reads a value into to as it stands in the document, and returns where
// it began, so that what is wrong with it later is said with its own place.
func (l *lexer) capture(to *sink) (int64, error) {
	l.peek()
	at := l.offset()
	l.tee, l.mark = to, l.pos
	err := l.skip()
	if err == nil {
		err = to.write(l.buf[l.mark:l.pos])
	}
	l.tee = nil
	return at, err
}
