package masking

import (
	"encoding/binary"
	"slices"

	"github.com/sluice-gateway/sluice/wire"
)

// element gathers the edits of one string of an answer: an element of a BYTES
// tensor, a parameter, an error's text.
type element struct {
	a      *answer
	span   wire.Span
	start  int        // in the message
	prefix wire.Range // where its length stands; zero if only in the field around it
	first  int        // of its edits among the answer's; before it is the prefix's
	grown  int
}

// element begins one.
func (a *answer) element(span wire.Span, prefix wire.Range) element {
	start, _ := span.Range()
	if prefix != (wire.Range{}) {
		a.cut(prefix, nil)
	}
	return element{a: a, span: span, start: start, prefix: prefix, first: len(a.edits)}
}

// take takes over edits of a text whose byte at is the string's first.
func (e *element) take(edits []edit, at int) {
	for _, d := range edits {
		e.replace(d.start-at, d.end-at, d.text)
	}
}

// replace replaces [start,end) of the string; calls are in order. What touches
// is one edit.
func (e *element) replace(start, end int, text string) {
	if start == end && text == "" {
		return
	}
	start, end = e.start+start, e.start+end
	e.grown += len(text) - (end - start)
	if n := len(e.a.edits); n > e.first && e.a.edits[n-1].End == start {
		last := &e.a.edits[n-1]
		last.End, last.New = end, append(last.New, text...)
		return
	}
	e.a.edits = append(e.a.edits, wire.Edit{Start: start, End: end, New: []byte(text)})
}

// end finishes the string: its length is put right.
func (e *element) end() {
	edits := e.a.edits[e.first:]
	raw := e.prefix != (wire.Range{})
	if len(edits) == 0 {
		if raw {
			e.a.edits = e.a.edits[:e.first-1]
		}
		return
	}
	if !raw {
		return
	}
	head := &e.a.edits[e.first-1]
	head.New = binary.LittleEndian.AppendUint32(nil, uint32(e.span.Len()+e.grown))
	if edits[0].Start == e.start {
		head.New = append(head.New, edits[0].New...)
		head.End = edits[0].End
		e.a.edits = slices.Delete(e.a.edits, e.first, e.first+1)
	}
}
