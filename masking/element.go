package masking

import (
	"encoding/binary"

	"github.com/sluice-gateway/sluice/wire"
)

const (
	// joinWithin is the longest stretch between two edits that is copied to make
	// one of them, in bytes; an edit costs more than it does.
	joinWithin = 64
	// maxJoined is how long what an edit writes becomes by that, in bytes.
	maxJoined = 64 << 10
)

// element gathers the edits of one string of an answer: an element of a BYTES
// tensor, a parameter, an error's text.
type element struct {
	a      *answer
	span   wire.Span
	start  int        // in the message
	prefix wire.Range // where its length stands; zero if only in the field around it
	within wire.Span  // the value that it and its length are in
	grown  int
}

// element begins one. Those of raw data have a prefix, and are all in data.
func (a *answer) element(span wire.Span, prefix wire.Range, data wire.Span) element {
	start, _ := span.Range()
	a.local = a.local[:0]
	if prefix == (wire.Range{}) {
		data = span
	}
	return element{a: a, span: span, start: start, prefix: prefix, within: data}
}

// take takes over edits of a text whose byte at is the string's first.
func (e *element) take(edits []edit, at int) {
	for _, d := range edits {
		e.replace(d.start-at, d.end-at, d.text)
	}
}

// replace replaces [start,end) of the string; calls are in order.
func (e *element) replace(start, end int, text string) {
	if start == end && text == "" {
		return
	}
	e.grown += len(text) - (end - start)
	e.a.local = e.join(e.a.local, e.start+start, e.start+end, text)
}

// join adds an edit to a list, or makes the last one longer by it.
func (e *element) join(list []wire.Edit, start, end int, text string) []wire.Edit {
	begin, _ := e.within.Range()
	if n := len(list); n > 0 {
		last := &list[n-1]
		if last.Start >= begin && last.End <= start && start-last.End <= joinWithin && len(last.New) < maxJoined {
			for gap := range e.within.Sub(last.End-begin, start-begin).Chunks() {
				last.New = append(last.New, gap...)
			}
			last.New = append(last.New, text...)
			last.End = end
			return list
		}
	}
	return append(list, wire.Edit{Start: start, End: end, New: []byte(text)})
}

// end finishes the string: its edits become the answer's, and its length is put
// right.
func (e *element) end() {
	if len(e.a.local) == 0 {
		return
	}
	if e.prefix != (wire.Range{}) {
		var length [4]byte
		binary.LittleEndian.PutUint32(length[:], uint32(e.span.Len()+e.grown))
		e.a.edits = e.join(e.a.edits, e.prefix.Start, e.prefix.End, string(length[:]))
	}
	for _, d := range e.a.local {
		e.a.edits = e.join(e.a.edits, d.Start, d.End, string(d.New))
	}
}
