package masking

import (
	"slices"

	"github.com/sluice-gateway/sluice/access"
)

// inBare reads a byte of a number or word, of the blanks behind it, or the first
// one after that.
func (l *lexer) inBare(c byte) (int, *access.Error) {
	switch {
	case isBlank(c):
		if l.word == 0 {
			l.word = len(l.bare)
		}
	case c == ',' || c == ']' || c == '}':
		if !validBare(l.bare[:l.wordEnd()]) || len(l.frames) == 0 || c != ',' && !l.closes(c) {
			return 0, l.fail(l.begun, l.bare)
		}
		l.state = wantComma
		return 0, l.scalar()
	case l.word > 0:
		return 0, l.fail(l.begun, l.bare)
	}
	if l.bare = append(l.bare, c); len(l.bare) > maxBare {
		return 1, l.fail(l.begun, l.bare)
	}
	return 1, nil
}

func (l *lexer) wordEnd() int {
	if l.word == 0 {
		return len(l.bare)
	}
	return l.word
}

// words are what may stand in a JSON text besides numbers. The last three are
// what Python writes.
var words = []string{"true", "false", "null", "NaN", "Infinity", "-Infinity"}

func validBare(b []byte) bool { return slices.Contains(words, string(b)) || validNumber(b) }

// validNumber holds b to the grammar of RFC 8259, 6.
func validNumber(b []byte) bool {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	n := digits(b)
	if n == 0 || b[0] == '0' && n > 1 {
		return false
	}
	if b = b[n:]; len(b) > 0 && b[0] == '.' {
		n = digits(b[1:])
		if b = b[1+n:]; n == 0 {
			return false
		}
	}
	if len(b) > 0 && (b[0] == 'e' || b[0] == 'E') {
		if b = b[1:]; len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		return len(b) > 0 && digits(b) == len(b)
	}
	return len(b) == 0
}

func digits(b []byte) (n int) {
	for n < len(b) && '0' <= b[n] && b[n] <= '9' {
		n++
	}
	return n
}

// scalar masks the number or word that was read; it becomes a string then.
func (l *lexer) scalar() *access.Error {
	word := l.bare[:l.wordEnd()]
	covers := l.covers(false)
	set := l.k.t.setFor(l.k.index, covers)
	end := l.begun + len(word)
	if u := set.valueAt(covers); u != nil && string(word) != "null" {
		if text, refused := l.k.replaced(u, word, l.begun); refused != nil || !u.observe {
			l.k.edits = append(l.k.edits, edit{l.begun, end, string(appendString(nil, text))})
			return refused
		}
	}
	if set.detect == nil {
		return nil
	}
	out, at, changed := "", 0, false
	for _, m := range set.detect.Find(word, nil) {
		u := &set.uses[m.Index]
		text, refused := l.k.replaced(u, word[m.Start:m.End], l.begun+m.Start)
		switch {
		case refused != nil:
			return refused
		case !u.observe:
			out, at, changed = out+string(word[at:m.Start])+text, m.End, true
		}
	}
	if changed {
		l.k.edits = append(l.k.edits, edit{l.begun, end, string(appendString(nil, out+string(word[at:])))})
	}
	return nil
}

// replaced counts a match that is there whole, and returns what stands in its place.
func (k *masker) replaced(u *use, text []byte, start int) (string, *access.Error) {
	if refused := k.count(u); refused != nil {
		return "", refused
	}
	out := k.open.begin(u)
	k.open.write(text)
	k.hear(u, text, true, true)
	out += k.finish(u)
	k.note(u, start, start+len(text), true, out)
	return out, nil
}

// appendString appends text as a JSON string.
func appendString(dst []byte, text string) []byte {
	return append(appendQuoted(append(dst, '"'), text), '"')
}

// valueAt is the entity that what stands at a place is, nil if none.
func (s *set) valueAt(covers uint64) *use {
	for i := range s.values {
		for _, p := range s.values[i].paths {
			if covers&(1<<p.bit) != 0 {
				return &s.values[i].use
			}
		}
	}
	return nil
}
