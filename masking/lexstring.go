package masking

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
)

// quoted is the string that a lexer is in. What is scanned are its characters,
// escapes read as what they stand for; what is edited are the text's bytes.
type quoted struct {
	isKey bool
	key   []byte // the key, as far as paths may ask for it
	value *use   // the whole string is a match of this

	fed   int    // characters' bytes so far
	batch []byte // those not scanned yet
	dec   int    // up to this one of them …
	raw   int    // … this place of the text, from where on they are the same …
	jumps []jump // … up to the first of these

	escape []byte // the beginning of an escape, up to the end of what is read
	high   rune   // the first half of an escaped pair, 0 if none
	highAt int
}

// jump is an escape that takes length bytes of the text for size scanned ones.
type jump struct{ dec, size, raw, length int }

// beginString starts at a quotation mark.
func (l *lexer) beginString(key bool) *access.Error {
	covers := l.covers(key)
	old := l.quoted
	l.state = inString
	l.quoted = quoted{isKey: key, raw: l.pos + 1, key: old.key[:0], batch: old.batch[:0], jumps: old.jumps[:0], escape: old.escape[:0]}
	set := l.k.t.setFor(l.k.index, covers)
	l.k.begin(set, l.pos+1)
	l.k.done = l.pos + 1
	u := set.valueAt(covers)
	if key || u == nil {
		return nil
	}
	refused := l.k.count(u)
	if refused != nil || u.observe {
		l.k.note(u, l.pos+1, l.pos+1, true, "")
		return refused
	}
	l.quoted.value = u
	text := l.k.open.begin(u)
	l.k.note(u, l.pos+1, l.pos+1, true, text)
	l.k.edits = append(l.k.edits, edit{l.pos + 1, l.pos + 1, string(appendQuoted(nil, text))})
	return nil
}

// inside reads on in a string.
func (l *lexer) inside(b []byte) (int, *access.Error) {
	if len(l.quoted.escape) > 0 {
		return 1, l.inEscape(b[0])
	}
	n := 0
	for n < len(b) && b[n] != '"' && b[n] != '\\' && b[n] >= ' ' {
		n++
	}
	if n > 0 {
		l.half()
		l.characters(b[:n])
		return n, nil
	}
	switch b[0] {
	case '"':
		return 1, l.endString()
	case '\\':
		l.quoted.escape = append(l.quoted.escape, '\\')
		return 1, nil
	}
	return 0, l.failInside(nil)
}

// characters takes bytes that stand for themselves.
func (l *lexer) characters(b []byte) {
	q := &l.quoted
	q.fed += len(b)
	q.batch = append(q.batch, b...)
	l.spell(b)
}

// spell gathers a key.
func (l *lexer) spell(b []byte) {
	if q := &l.quoted; q.isKey && len(q.key) <= maxKey && len(l.k.t.paths) > 0 {
		q.key = append(q.key, b...)
	}
}

// character takes a character that is written otherwise, in length bytes from raw on.
func (l *lexer) character(r rune, raw, length int) {
	q := &l.quoted
	before := len(q.batch)
	q.batch = utf8.AppendRune(q.batch, r)
	size := len(q.batch) - before
	l.spell(q.batch[before:])
	q.jumps = append(q.jumps, jump{q.fed, size, raw, length})
	q.fed += size
}

// half takes the first half of a pair that the second one does not follow.
func (l *lexer) half() {
	if q := &l.quoted; q.high != 0 {
		l.character(utf8.RuneError, q.highAt, 6)
		q.high = 0
	}
}

var shortEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// inEscape reads the next byte of an escape.
func (l *lexer) inEscape(c byte) *access.Error {
	q := &l.quoted
	q.escape = append(q.escape, c)
	switch n := len(q.escape); {
	case n == 2 && shortEscapes[c] != 0:
		l.half()
		l.character(rune(shortEscapes[c]), l.pos-1, 2)
	case n == 2 && c == 'u', n > 2 && n < 6 && isHex(c):
		return nil
	case n == 6 && isHex(c):
		v, _ := strconv.ParseUint(string(q.escape[2:]), 16, 16) // five hexadecimal digits were seen
		l.unit(rune(v), l.pos-5)
	default:
		return l.failInside(append([]byte(nil), q.escape...))
	}
	q.escape = q.escape[:0]
	return nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unit takes \uXXXX at raw.
func (l *lexer) unit(v rune, raw int) {
	q := &l.quoted
	if q.high != 0 {
		if r := utf16.DecodeRune(q.high, v); r != utf8.RuneError {
			q.high = 0
			l.character(r, q.highAt, raw+6-q.highAt)
			return
		}
		l.half()
	}
	if utf16.IsSurrogate(v) && v < 0xDC00 {
		q.high, q.highAt = v, raw
		return
	}
	l.character(v, raw, 6)
}

// endString is at the closing quotation mark.
func (l *lexer) endString() *access.Error {
	l.half()
	if refused := l.endScan(); refused != nil {
		return refused
	}
	l.state = wantComma
	if l.quoted.isKey {
		n := len(l.frames)
		key := l.quoted.key
		if key == nil {
			key = []byte{}
		}
		l.active = below(l.k.t.paths, l.frames[n-1].active, n-1, key, 0)
		l.state = wantColon
	}
	return nil
}

// endScan decides on all that was read.
func (l *lexer) endScan() *access.Error {
	refused := l.settle()
	q := &l.quoted
	switch {
	case refused != nil:
	case q.value != nil:
		text := l.k.finish(l.quoted.value)
		l.k.note(q.value, 0, l.k.done, false, text)
		l.k.edits = append(l.k.edits, edit{l.k.done, l.k.done, string(appendQuoted(nil, text))})
		q.value = nil
	case l.k.scan != nil:
		l.k.events = l.k.scan.Flush(l.k.events[:0])
		refused = l.decided()
	}
	return refused
}

// failInside gives up on JSON within a string, at an escape that is none, of
// which bytes were read, or at a control character. What was scanned of the
// string and what follows are one text, if the same is looked for in both.
func (l *lexer) failInside(read []byte) *access.Error {
	q := &l.quoted
	q.escape = q.escape[:0]
	l.half()
	from := l.pos
	if len(read) > 0 {
		from -= len(read) - 1
	}
	if q.value == nil && l.k.set == l.k.t.setFor(l.k.index, ^uint64(0)) {
		l.state = plainText
		l.characters(read)
		return l.settle()
	}
	if refused := l.endScan(); refused != nil {
		return refused
	}
	return l.fail(from, read)
}

// settle scans what was read of a string, as far as it is certain what it stands for.
func (l *lexer) settle() *access.Error {
	q := &l.quoted
	batch := q.batch
	q.batch = q.batch[:0]
	switch {
	case q.value != nil:
		l.k.open.write(batch)
		end := l.place(q.fed, true)
		if end > l.k.done {
			l.k.edits = append(l.k.edits, edit{l.k.done, end, ""})
			l.k.done = end
		}
		return nil
	case l.k.scan == nil:
		l.k.done = l.place(q.fed, true)
		return nil
	case len(batch) == 0:
		return nil
	}
	l.k.events = l.k.scan.Write(batch, l.k.events[:0])
	return l.decided()
}

// decided takes over what the scan has decided.
func (l *lexer) decided() *access.Error {
	for i := range l.k.events {
		ev := &l.k.events[i]
		start := max(l.k.done, l.place(ev.Start, false))
		end := max(start, l.place(ev.End(), !ev.Clear()))
		if !ev.Clear() {
			if refused := l.k.matched(&l.k.set.uses[ev.Index], ev, start, end, l.state != plainText); refused != nil {
				return refused
			}
		}
		l.k.done = end
	}
	return nil
}

// place is where in the text a scanned byte stands. Within an escape it is the
// escape's beginning, or its end where after is set. It is asked in ascending order.
func (l *lexer) place(dec int, after bool) int {
	q := &l.quoted
	n := 0
	for n < len(q.jumps) && q.jumps[n].dec+q.jumps[n].size <= dec {
		j := q.jumps[n]
		q.dec, q.raw = j.dec+j.size, j.raw+j.length
		n++
	}
	if n > 0 {
		q.jumps = q.jumps[:copy(q.jumps, q.jumps[n:])]
	}
	if len(q.jumps) > 0 && q.jumps[0].dec < dec {
		if after {
			return q.jumps[0].raw + q.jumps[0].length
		}
		return q.jumps[0].raw
	}
	return q.raw + dec - q.dec
}
