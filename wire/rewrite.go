package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Rewrite returns a message with the edits made and the lengths of all that
// encloses them corrected. m has been scanned and is not ambiguous. Edits are in
// order and do not overlap; each replaces part of one string, bytes or packed
// value, or whole fields of one message. What is written must keep the message
// valid: UTF-8 in strings, fields among fields.
//
// An insertion (Start is End) goes into the innermost value that it touches: at
// either end of a string it is into the string. Whole fields are inserted at the
// first byte of a message. Sharing and charge are as in [Message.Splice]. The
// errors are those of edits that stand nowhere and the budget's.
func (m *Message) Rewrite(edits []Edit) (*Message, error) {
	if m.view.table == nil || m.view.err != nil || m.view.ambiguous {
		return nil, fmt.Errorf("wire: a message is rewritten that was not scanned, or is ambiguous")
	}
	for i, at := 0, 0; i < len(edits); i++ {
		if e := edits[i]; e.Start < at || e.End < e.Start || e.End > m.size {
			return nil, m.misplaced(e)
		}
		at = edits[i].End
	}
	w := rewriter{todo: edits, out: make([]Edit, 0, 2*len(edits)+4)}
	if _, err := w.message(m.view.table, m.root()); err != nil {
		return nil, err
	}
	return m.Splice(w.out)
}

func (m *Message) misplaced(e Edit) error {
	return fmt.Errorf("wire: an edit of [%d,%d) in %d bytes is out of order or cuts a field", e.Start, e.End, m.size)
}

// rewriter walks a message along its edits and adds those of lengths.
type rewriter struct {
	todo []Edit
	out  []Edit
}

// take moves the first edit over, and returns by how much it lengthens.
func (w *rewriter) take() int {
	e := w.todo[0]
	w.todo, w.out = w.todo[1:], append(w.out, e)
	return len(e.New) - (e.End - e.Start)
}

// message makes the edits that lie in n, a message of type t, and returns by
// how much they lengthen it.
func (w *rewriter) message(t *table, n node) (grown int, err error) {
	covered := int(n.at.off) // up to here whole fields are replaced
	it := n.fields()
	for r := (record{}); (len(w.todo) > 0 || covered > int(r.body.end)) && it.next(&r); {
		for len(w.todo) > 0 && covered <= r.start && w.todo[0].Start == r.start {
			covered = max(covered, w.todo[0].End)
			grown += w.take()
		}
		fd := t.find(r.num, r.typ)
		switch {
		case covered > r.start:
			if covered < int(r.body.end) {
				return 0, n.m.misplaced(w.out[len(w.out)-1])
			}
		case len(w.todo) > 0 && r.holds(fd, w.todo[0]):
			more, err := w.field(fd, n.m, &r)
			if err != nil {
				return 0, err
			}
			grown += more
		case len(w.todo) > 0 && w.todo[0].Start < int(r.body.end):
			return 0, n.m.misplaced(w.todo[0])
		}
	}
	if covered > int(n.at.end) {
		return 0, n.m.misplaced(w.out[len(w.out)-1])
	}
	for len(w.todo) > 0 && w.todo[0].Start == int(n.at.end) && w.todo[0].End == int(n.at.end) {
		grown += w.take()
	}
	return grown, nil
}

// holds tells whether an edit lies in r's value.
func (r *record) holds(fd *field, e Edit) bool {
	off, end := int(r.body.off), int(r.body.end)
	if fd == nil || r.typ != protowire.BytesType || e.Start < off || e.End > end {
		return false
	}
	return e.Start < end || fd.sub != nil || fd.kind == text || fd.kind == blobs
}

// field makes the edits that lie in the value of r, a field that is known, and
// the one of the length before it.
func (w *rewriter) field(fd *field, m *Message, r *record) (grown int, err error) {
	c := m.cursorAt(r.start)
	_, _ = c.varint() // the tag
	length := len(w.out)
	w.out = append(w.out, Edit{Start: c.offset(), End: int(r.body.off)})
	if fd.sub != nil {
		grown, err = w.message(fd.sub, node{m: m, at: r.body})
		if err == nil && len(w.todo) > 0 && r.holds(fd, w.todo[0]) {
			err = m.misplaced(w.todo[0])
		}
	} else {
		for len(w.todo) > 0 && r.holds(fd, w.todo[0]) {
			grown += w.take()
		}
	}
	if err != nil {
		return 0, err
	}
	e := &w.out[length]
	e.New = protowire.AppendVarint(nil, uint64(r.body.len()+grown))
	return grown + len(e.New) - (e.End - e.Start), nil
}
