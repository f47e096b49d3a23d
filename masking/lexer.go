package masking

import (
	"github.com/sluice-gateway/sluice/access"
)

const (
	// maxDepth is how deep a JSON text may nest; what is deeper is masked as text.
	maxDepth = 512
	// maxBare is the longest number, and the blanks behind it, that are read as
	// JSON: they are held back until it is certain what they are.
	maxBare = 256
	// maxKey is the longest key that is compared with a path, in bytes.
	maxKey = 1 << 10
)

// lexer reads a JSON text and has its strings and numbers scanned, each by
// itself. From the first byte on that no JSON text could go on with, the rest is
// plain text. Objects and arrays may follow one another (JSON lines). A number
// or word is looked at again as plain text where what follows is no JSON.
type lexer struct {
	k     *masker
	state lexState
	pos   int // of the next byte

	frames []frame
	active uint64 // paths that lead to or cover the value that is read

	quoted quoted
	bare   []byte // a number or word, and blanks behind it
	word   int    // how much of bare is no blank; 0 while it goes on
	begun  int    // where it begins
}

// lexState is what a lexer is in, or expects.
type lexState uint8

const (
	wantValue  lexState = iota
	wantFirst           // a value, or the end of an empty array
	wantMember          // a key, or the end of an empty object
	wantKey
	wantColon
	wantComma // or the end
	inString
	inBare
	plainText // no JSON any more
)

// frame is an object or array that is open.
type frame struct {
	object bool
	active uint64
	index  int
}

// write takes the next bytes of the text.
func (l *lexer) write(chunk []byte) *access.Error {
	l.k.fed += len(chunk)
	for len(chunk) > 0 {
		n, refused := l.step(chunk)
		if refused != nil {
			return refused
		}
		chunk = chunk[n:]
		l.pos += n
	}
	switch l.state {
	case inString, plainText:
		return l.settle()
	case inBare:
		l.k.done = l.begun
	default:
		l.k.done = l.pos
	}
	return nil
}

// flush ends the text.
func (l *lexer) flush() *access.Error {
	switch {
	case l.state == inBare && validBare(l.bare[:l.wordEnd()]):
		return l.scalar()
	case l.state == inBare:
		if refused := l.fail(l.begun, l.bare); refused != nil {
			return refused
		}
	case l.state == inString:
		l.half()
		l.characters(l.quoted.escape)
	case l.state != plainText:
		return nil
	}
	return l.endScan()
}

// step reads some bytes of b, or none and changes the state.
func (l *lexer) step(b []byte) (int, *access.Error) {
	switch l.state {
	case plainText:
		return len(b), l.plain(b)
	case inString:
		return l.inside(b)
	case inBare:
		return l.inBare(b[0])
	}
	blanks := 0
	for blanks < len(b) && isBlank(b[blanks]) {
		blanks++
	}
	if blanks > 0 {
		return blanks, nil
	}
	return l.structure(b[0])
}

func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// structure reads a byte between strings, numbers and words.
func (l *lexer) structure(c byte) (int, *access.Error) {
	switch {
	case l.state == wantColon && c == ':':
		l.state = wantValue
	case l.state == wantComma && c == ',' && len(l.frames) > 0:
		l.next()
	case l.state == wantComma && len(l.frames) == 0 && (c == '{' || c == '['):
		l.open(c == '{')
	case l.state == wantMember && c == '}', l.state == wantFirst && c == ']', l.state == wantComma && l.closes(c):
		l.frames, l.state = l.frames[:len(l.frames)-1], wantComma
	case (l.state == wantMember || l.state == wantKey) && c == '"':
		return 1, l.beginString(true)
	case l.state == wantValue || l.state == wantFirst:
		return l.value(c)
	default:
		return 0, l.fail(l.pos, nil)
	}
	if len(l.frames) > maxDepth {
		return 0, l.fail(l.pos, nil)
	}
	return 1, nil
}

// next is what a comma leads to.
func (l *lexer) next() {
	top := &l.frames[len(l.frames)-1]
	top.index++
	l.state = wantValue
	if top.object {
		l.state = wantKey
	}
}

func (l *lexer) closes(c byte) bool {
	if len(l.frames) == 0 {
		return false
	}
	return c == '}' && l.frames[len(l.frames)-1].object || c == ']' && !l.frames[len(l.frames)-1].object
}

// value reads the first byte of one.
func (l *lexer) value(c byte) (int, *access.Error) {
	l.locate()
	switch {
	case c == '{' || c == '[':
		if len(l.frames) == maxDepth {
			return 0, l.fail(l.pos, nil)
		}
		l.open(c == '{')
		return 1, nil
	case c == '"':
		return 1, l.beginString(false)
	case c == '-' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z':
		l.state, l.begun, l.bare, l.word = inBare, l.pos, l.bare[:0], 0
		return 0, nil
	}
	return 0, l.fail(l.pos, nil)
}

// locate finds the paths that lead to or cover the value that begins. That of a
// member is known since its key ended.
func (l *lexer) locate() {
	paths := l.k.t.paths
	switch n := len(l.frames); {
	case n == 0:
		l.active = 0
		for i := range paths {
			l.active |= 1 << paths[i].bit
		}
	case !l.frames[n-1].object:
		l.active = below(paths, l.frames[n-1].active, n-1, nil, l.frames[n-1].index)
	}
}

func (l *lexer) open(object bool) {
	if len(l.frames) == 0 {
		l.locate()
	}
	l.frames = append(l.frames, frame{object: object, active: l.active})
	l.state = wantFirst
	if object {
		l.state = wantMember
	}
}

// covers are the paths that cover the value, or the key, that begins.
func (l *lexer) covers(key bool) uint64 {
	n := len(l.frames)
	if key {
		return covering(l.k.t.paths, l.frames[n-1].active, n-1)
	}
	return covering(l.k.t.paths, l.active, n)
}

// fail gives up on JSON: what follows position from is plain text, of which
// bytes were read already. All rules count: what stands where is not known.
func (l *lexer) fail(from int, read []byte) *access.Error {
	l.state = plainText
	l.k.begin(l.k.t.setFor(l.k.index, ^uint64(0)), from)
	l.quoted = quoted{raw: from, batch: l.quoted.batch[:0], jumps: l.quoted.jumps[:0]}
	l.k.done = from
	return l.plain(read)
}

// plain scans bytes of plain text.
func (l *lexer) plain(b []byte) *access.Error {
	if refused := l.settle(); refused != nil || len(b) == 0 {
		return refused
	}
	if l.quoted.fed += len(b); l.k.scan == nil {
		return nil
	}
	l.k.events = l.k.scan.Write(b, l.k.events[:0])
	return l.decided()
}
