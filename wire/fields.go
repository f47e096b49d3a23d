package wire

import (
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

// Range is a stretch of a message's bytes, as [Edit] counts them.
type Range struct{ Start, End int }

// ranges yields the whole fields num of n, tags included, beside their values.
func (n node) ranges(num protowire.Number) iter.Seq2[Range, span] {
	return func(yield func(Range, span) bool) {
		it := n.fields()
		for r := (record{}); it.next(&r); {
			if r.num == num && r.typ == protowire.BytesType && !yield(Range{r.start, int(r.body.end)}, r.body) {
				return
			}
		}
	}
}

// OutputFields yields the outputs in order, each with the range that its whole
// field takes: an edit of that range takes the output out.
func (r InferResponse) OutputFields() iter.Seq2[Range, Tensor] {
	return func(yield func(Range, Tensor) bool) {
		for at, s := range r.n.ranges(fieldOutputs) {
			if !yield(at, Tensor{node{m: r.n.m, at: s}}) {
				return
			}
		}
	}
}

// RawFields yields the raw_output_contents in order, each with the range that
// its whole field takes.
func (r InferResponse) RawFields() iter.Seq2[Range, Span] {
	return func(yield func(Range, Span) bool) {
		for at, s := range r.n.ranges(fieldRawOutputs) {
			if !yield(at, Span{r.n.m, s}) {
				return
			}
		}
	}
}

// Range is where the response stands in its message. Only a message that is not
// [InferResponse.Ambiguous] has it in one place.
func (r InferResponse) Range() Range {
	if r.n.part != 0 {
		if s, found := (node{m: r.n.m, at: r.n.at}).last(r.n.part); found {
			return Range{int(s.off), int(s.end)}
		}
		return Range{}
	}
	return Range{int(r.n.at.off), int(r.n.at.end)}
}

// Contents is an InferTensorContents: a tensor's typed data.
type Contents struct{ n node }

// Contents are the tensor's typed contents, all repeats merged; empty where
// there are none.
func (t Tensor) Contents() Contents {
	s, found := t.n.last(fieldContents)
	if found && !t.n.m.view.ambiguous {
		return Contents{node{m: t.n.m, at: s}}
	}
	return Contents{t.n.sub(fieldContents)}
}

// Range is where the contents stand in their message, as [InferResponse.Range]
// says of a response. The zero Range is that of contents that are not set.
func (c Contents) Range() Range {
	if c.n.part != 0 {
		return Range{}
	}
	return Range{int(c.n.at.off), int(c.n.at.end)}
}

// Bytes yields bytes_contents in order, one element of a BYTES tensor each.
func (c Contents) Bytes() iter.Seq[Span] { return c.n.blobs(8) }

// typedFields says in which field of the contents a datatype's elements are.
var typedFields = map[string]protowire.Number{
	"BOOL": 1, "INT8": 2, "INT16": 2, "INT32": 2, "INT64": 3, "UINT8": 4, "UINT16": 4, "UINT32": 4,
	"UINT64": 5, "FP32": 6, "FP64": 7, "BYTES": 8,
}

// Numbers calls yield with the elements of a numeric datatype, in order, each
// as the bits that protobuf has for it: a varint, or a float's pattern. It
// yields nothing for a datatype that has no typed form (FP16, BF16) or is not numeric.
func (c Contents) Numbers(datatype string) iter.Seq[uint64] {
	num, known := typedFields[datatype]
	return func(yield func(uint64) bool) {
		if !known || num == 8 {
			return
		}
		it := c.n.fields()
		for r := (record{}); it.next(&r); {
			if r.num == num && contentsTable.find(r.num, r.typ) != nil && !c.n.m.numbers(&r, yield) {
				return
			}
		}
	}
}

// numbers yields the numbers of one field, packed or not.
func (m *Message) numbers(r *record, yield func(uint64) bool) bool {
	c := m.cursorAt(int(r.body.off))
	for c.offset() < int(r.body.end) {
		var v uint64
		switch contentsTable.fields[r.num].kind {
		case fixed32s:
			v = c.little(4)
		case fixed64s:
			v = c.little(8)
		default:
			v, _ = c.varint()
		}
		if !yield(v) {
			return false
		}
	}
	return true
}

// little reads n bytes as a little-endian number.
func (c *cursor) little(n int) (v uint64) {
	for i := range n {
		for _, b := range c.chunk(1) {
			v |= uint64(b) << (8 * i)
		}
	}
	return v
}
