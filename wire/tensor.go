package wire

import (
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

// Tensor is an InferInputTensor or InferOutputTensor of a message.
type Tensor struct{ n node }

// Name is the tensor's name.
func (t Tensor) Name() Span { return t.n.text(fieldName) }

// Datatype is the tensor's datatype, as in "FP32".
func (t Tensor) Datatype() Span { return t.n.text(fieldDatatype) }

// AppendShape appends the tensor's dimensions to dst.
func (t Tensor) AppendShape(dst []int64) []int64 {
	it := t.n.fields()
	for r := (record{}); it.next(&r); {
		switch {
		case r.num != fieldShape:
		case r.typ == protowire.VarintType:
			dst = append(dst, int64(r.bits))
		case r.typ == protowire.BytesType:
			for c := t.n.m.cursorAt(int(r.body.off)); c.offset() < int(r.body.end); {
				v, _ := c.varint()
				dst = append(dst, int64(v))
			}
		}
	}
	return dst
}

// AppendShapeUpTo is AppendShape for who keeps only so many dimensions; more tells
// that there are others, however many a caller wrote.
func (t Tensor) AppendShapeUpTo(dst []int64, most int) (shape []int64, more bool) {
	it := t.n.fields()
	for r := (record{}); it.next(&r); {
		switch {
		case r.num != fieldShape:
		case r.typ == protowire.VarintType:
			if len(dst) == most {
				return dst, true
			}
			dst = append(dst, int64(r.bits))
		case r.typ == protowire.BytesType:
			for c := t.n.m.cursorAt(int(r.body.off)); c.offset() < int(r.body.end); {
				if len(dst) == most {
					return dst, true
				}
				v, _ := c.varint()
				dst = append(dst, int64(v))
			}
		}
	}
	return dst, false
}

// Parameters are the tensor's parameters: "shared_memory_region" is one.
func (t Tensor) Parameters() Parameters { return Parameters{t.n, fieldParameters} }

// HasContents tells whether the tensor's typed contents are set, be they empty.
func (t Tensor) HasContents() bool {
	_, found := t.n.last(fieldContents)
	return found
}

// Output is an InferRequestedOutputTensor of a request.
type Output struct{ n node }

// Name is the output's name.
func (o Output) Name() Span { return o.n.text(fieldName) }

// Parameters are the output's parameters: "classification" is one.
func (o Output) Parameters() Parameters { return Parameters{o.n, fieldOutputParameters} }

// tensors yields the tensors in field num of n.
func (n node) tensors(num protowire.Number) iter.Seq[Tensor] {
	return func(yield func(Tensor) bool) {
		n.each(num, func(s span) bool { return yield(Tensor{node{m: n.m, at: s}}) })
	}
}

// blobs yields the values of field num of n.
func (n node) blobs(num protowire.Number) iter.Seq[Span] {
	return func(yield func(Span) bool) {
		n.each(num, func(s span) bool { return yield(Span{n.m, s}) })
	}
}
