package wire

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// node is a message inside a scanned message. Where a singular sub-message is
// repeated, protobuf merges the repeats, which is to read them one after the
// other: such a node is all the values of field part in the message at at.
type node struct {
	m    *Message
	at   span
	part protowire.Number // 0: the bytes at at themselves
}

// record is one field as it stands in a message.
type record struct {
	num   protowire.Number
	typ   protowire.Type
	start int    // of the tag
	body  span   // the value, without a length before it
	bits  uint64 // a varint's value
}

// fields walks the fields of a node in order. It trusts the scan: what cannot
// be is taken for the end.
type fields struct {
	c     cursor
	end   int // of the part being read
	part  protowire.Number
	outer int // end of the message that the parts are in
}

func (n node) fields() fields {
	it := fields{c: n.m.cursorAt(int(n.at.off)), end: int(n.at.end), part: n.part, outer: int(n.at.end)}
	if n.part != 0 {
		it.end = int(n.at.off)
	}
	return it
}

// next reads the next field into r; false after the last.
func (it *fields) next(r *record) bool {
	for it.c.offset() >= it.end {
		if it.part == 0 || !it.nextPart() {
			return false
		}
	}
	return it.c.record(r, it.end)
}

// nextPart moves to the beginning of the next part of a merged message.
func (it *fields) nextPart() bool {
	for r := (record{}); it.c.offset() < it.outer; {
		num, typ, f := it.c.tag(it.outer, math.MaxInt32)
		if f != sound {
			return false
		}
		if num == it.part && typ == protowire.BytesType {
			n, f := it.c.length(it.outer)
			it.end = it.c.offset() + n
			return f == sound
		}
		r.num, r.typ = num, typ
		if !it.c.recordValue(&r, it.outer) {
			return false
		}
	}
	return false
}

// record reads one field, within end.
func (c *cursor) record(r *record, end int) bool {
	r.start = c.offset()
	num, typ, f := c.tag(end, math.MaxInt32)
	r.num, r.typ = num, typ
	return f == sound && c.recordValue(r, end)
}

// recordValue reads the value of a field whose number and type r has.
func (c *cursor) recordValue(r *record, end int) bool {
	r.body.off = uint32(c.offset())
	f := sound
	switch r.typ {
	case protowire.VarintType:
		r.bits, f = c.varint()
	case protowire.BytesType:
		var n int
		n, f = c.length(end)
		r.body.off = uint32(c.offset())
		c.skip(n)
	default:
		f = c.value(r.num, r.typ, end)
	}
	r.body.end = uint32(c.offset())
	return f == sound
}

// last finds the last value of a string or message field, and whether there is any.
func (n node) last(num protowire.Number) (s span, found bool) {
	it := n.fields()
	for r := (record{}); it.next(&r); {
		if r.num == num && r.typ == protowire.BytesType {
			s, found = r.body, true
		}
	}
	return s, found
}

// text is the last value of a string field.
func (n node) text(num protowire.Number) Span {
	s, found := n.last(num)
	if !found {
		return Span{}
	}
	return Span{m: n.m, s: s}
}

// sub is the message field num of n, all its repeats merged. n itself must
// not be merged out of several parts, which no message here is that has one.
func (n node) sub(num protowire.Number) node { return node{m: n.m, at: n.at, part: num} }

// each calls yield with every value of a bytes, message or map field.
func (n node) each(num protowire.Number, yield func(span) bool) {
	it := n.fields()
	for r := (record{}); it.next(&r); {
		if r.num == num && r.typ == protowire.BytesType && !yield(r.body) {
			return
		}
	}
}
