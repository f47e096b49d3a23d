package detect

import (
	"sort"
	"unicode/utf8"
)

// maxIgnorable is how many ignorable characters in a row a match may hold. One
// more ends it: where a run has no bound, what is held would have none.
const maxIgnorable = 8

// maxIgnorableBytes is how many bytes they may take: eight escapes. What is
// next to a character is then always within lookBack of it.
const maxIgnorableBytes = 48

// ignorable counts the ignorable characters in a row.
type ignorable struct{ n, bytes int }

// seg says where folded text stands in the original: from folded byte f on,
// which is original byte o. width is 0 for text that was taken over byte by
// byte, else f is one character that stood for that many original bytes.
type seg struct{ f, o, width int }

// folded is text as detectors see it: without ignorable characters, with
// digits, letters, spaces and dashes of all kinds as ASCII where they stand for
// it, escapes read, and everything that is no letter as symOther.
type folded struct {
	b     []byte
	segs  []seg
	end   int       // original bytes that were read; what is behind is half a character
	run   ignorable // at the end
	delta int       // original minus folded offset of the last byte, where linear
}

// notLinear is a delta that no byte has.
const notLinear = -1 << 62

// fold reads raw from the beginning of a character on, with a run of ignorable
// ones before it. Without eof it leaves the half of a character at the end unread.
func (t *folded) fold(raw []byte, run ignorable, eof bool) {
	t.b, t.segs, t.run, t.delta = t.b[:0], append(t.segs[:0], seg{}), run, 0
	i := 0
	for i < len(raw) {
		if n := plain(raw[i:]); n > 0 {
			t.keep(i, raw[i:i+n])
			i += n
			continue
		}
		if n := letters(raw[i:]); n > 0 {
			t.keep(i, raw[i:i+n])
			i += n
			continue
		}
		sym, n := symbol(raw[i:], eof)
		if n == 0 {
			break
		}
		t.add(i, n, sym, raw)
		i += n
	}
	t.end = i
}

// keep takes over what stands for itself.
func (t *folded) keep(o int, bytes []byte) {
	if d := o - len(t.b); d != t.delta {
		t.segs = append(t.segs, seg{f: len(t.b), o: o})
		t.delta = d
	}
	t.b = append(t.b, bytes...)
	t.run = ignorable{}
}

// add appends one character of width original bytes.
func (t *folded) add(o, width int, sym rune, raw []byte) {
	switch {
	case sym == ignored:
		t.run.n++
		t.run.bytes += width
		if t.run.n > maxIgnorable+1 || t.run.n <= maxIgnorable && t.run.bytes <= maxIgnorableBytes {
			return
		}
		t.run.n = maxIgnorable + 1 // that it has ended is told once
		sym = symbolBreak
	case sym >= 0x80 && width == utf8.RuneLen(sym):
		t.keep(o, raw[o:o]) // same bytes, or as many: offsets stay linear
		t.b = utf8.AppendRune(t.b, sym)
		return
	default:
		t.run = ignorable{}
	}
	t.segs = append(t.segs, seg{f: len(t.b), o: o, width: width})
	t.delta = notLinear
	switch sym {
	case symbolOther:
		t.b = append(t.b, symOther)
	case symbolBreak:
		t.b = append(t.b, symBreak)
	default:
		t.b = utf8.AppendRune(t.b, sym)
	}
}

// at finds the seg of folded byte f.
func (t *folded) at(f int) seg {
	i := sort.Search(len(t.segs), func(i int) bool { return t.segs[i].f > f })
	return t.segs[i-1]
}

// org is where the character of folded byte f begins in the original.
func (t *folded) org(f int) int {
	if f >= len(t.b) {
		return t.end
	}
	if s := t.at(f); s.width > 0 {
		return s.o
	} else {
		return s.o + f - s.f
	}
}

// orgEnd is where the character before folded byte f ends in the original.
func (t *folded) orgEnd(f int) int {
	if s := t.at(f - 1); s.width > 0 {
		return s.o + s.width
	} else {
		return s.o + f - s.f
	}
}

// floor is the folded byte where the last character ends that is complete at
// original byte o.
func (t *folded) floor(o int) int {
	i := sort.Search(len(t.segs), func(i int) bool { return t.segs[i].o >= o }) // segs[:i] begin before o
	next := len(t.b)
	if i < len(t.segs) {
		next = t.segs[i].f
	}
	if i == 0 {
		return 0
	}
	s := t.segs[i-1]
	if s.width > 0 {
		if s.o+s.width > o {
			return s.f
		}
		return next
	}
	f := min(s.f+o-s.o, next)
	for f < next && f > s.f && !utf8.RuneStart(t.b[f]) {
		f--
	}
	return f
}

// ceil is the first folded byte whose character begins at original byte o or
// behind it.
func (t *folded) ceil(o int) int {
	i := sort.Search(len(t.segs), func(i int) bool { return t.segs[i].o >= o })
	next := len(t.b)
	if i < len(t.segs) {
		next = t.segs[i].f
	}
	if i == 0 {
		return 0
	}
	s := t.segs[i-1]
	if s.width > 0 {
		return next
	}
	f := min(s.f+o-s.o, next)
	for f < next && !utf8.RuneStart(t.b[f]) {
		f++
	}
	return f
}
