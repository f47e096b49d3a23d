package wire

import (
	"bytes"
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxHead bounds what [StreamResponse.AppendHead] keeps of an answer.
const maxHead = 1 << 10

// AppendHead appends to dst what of a stream's answer is not tensor data, for
// [Message.HasHead], and tells whether it can: the answer has to be written as
// every server writes it, one infer_response alone with raw_output_contents last.
func (r StreamResponse) AppendHead(dst []byte) (head []byte, can bool) {
	c := r.m.cursorAt(0)
	if !c.answerBegins(r.m.size) {
		return dst, false
	}
	from := c.offset()
	at := from
	for f := (record{}); at < r.m.size && c.record(&f, r.m.size); at = c.offset() {
		if f.num == fieldRawOutputs && f.typ == protowire.BytesType {
			break
		}
	}
	if at-from > maxHead {
		return dst, false
	}
	c = r.m.cursorAt(from)
	for n := at - from; n > 0; {
		b := c.chunk(n)
		dst = append(dst, b...)
		n -= len(b)
	}
	return dst, c.rawOutputs(r.m.size)
}

// HasHead tells whether m is an answer of a stream that differs from the one that
// head was taken of in its tensors' data alone. It scans nothing and keeps nothing:
// of a stream of tokens, nearly all are known by it. False says nothing.
func (m *Message) HasHead(head []byte) bool {
	c := m.cursorAt(0)
	if !c.answerBegins(m.size) || m.size-c.offset() < len(head) {
		return false
	}
	for len(head) > 0 {
		b := c.chunk(len(head))
		if string(b) != string(head[:len(b)]) {
			return false
		}
		head = head[len(b):]
	}
	return c.rawOutputs(m.size)
}

// answerBegins reads the tag and the length of an infer_response that is all of a
// message of that size.
func (c *cursor) answerBegins(size int) bool {
	num, typ, f := c.tag(size, uint64(protowire.MaxValidNumber))
	if f != sound || num != fieldInferResponse || typ != protowire.BytesType {
		return false
	}
	n, f := c.length(size)
	return f == sound && c.offset()+n == size
}

// rawOutputs tells whether all up to the end of the message are raw outputs.
func (c *cursor) rawOutputs(size int) bool {
	for c.offset() < size {
		num, typ, f := c.tag(size, uint64(protowire.MaxValidNumber))
		if f != sound || num != fieldRawOutputs || typ != protowire.BytesType {
			return false
		}
		n, f := c.length(size)
		if f != sound {
			return false
		}
		c.skip(n)
	}
	return true
}

// CutAnswer cuts an encoded answer of a stream into what [StreamResponse.AppendHead]
// takes of it and its raw_output_contents, tags included, for [RawOutputs]. It is false
// where an answer is not written as it would be written anew: head and raws of one that
// is are all that it says.
func CutAnswer(b []byte) (head, raws []byte, can bool) {
	body, rest, can := cutField(b, fieldInferResponse)
	if !can || len(rest) > 0 {
		return nil, nil, false
	}
	raws = body
	for len(raws) > 0 {
		num, typ, n := protowire.ConsumeTag(raws)
		if n < 0 || num == fieldRawOutputs {
			break
		}
		size := protowire.ConsumeFieldValue(num, typ, raws[n:])
		if size < 0 {
			return nil, nil, false
		}
		raws = raws[n+size:]
	}
	return body[:len(body)-len(raws)], raws, onlyRaws(raws)
}

// CutLike is [CutAnswer] of an answer whose head is that of another, which is told by
// it at less cost. False says nothing.
func CutLike(b, head []byte) (raws []byte, can bool) {
	body, rest, can := cutField(b, fieldInferResponse)
	if !can || len(rest) > 0 || !bytes.HasPrefix(body, head) {
		return nil, false
	}
	raws = body[len(head):]
	return raws, onlyRaws(raws)
}

func onlyRaws(b []byte) (can bool) {
	for can = true; can && len(b) > 0; {
		_, b, can = cutField(b, fieldRawOutputs)
	}
	return can
}

// RawOutputs yields the data in raws, as [CutAnswer] gives them.
func RawOutputs(raws []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(raws) > 0 {
			data, rest, can := cutField(raws, fieldRawOutputs)
			if !can || !yield(data) {
				return
			}
			raws = rest
		}
	}
}

// cutField takes a field of bytes off b, whose tag and length are as short as can be.
func cutField(b []byte, num protowire.Number) (value, rest []byte, can bool) {
	tag := byte(num)<<3 | byte(protowire.BytesType) // all numbers here fit into a byte
	if len(b) == 0 || b[0] != tag {
		return nil, nil, false
	}
	n, size := protowire.ConsumeVarint(b[1:])
	if size < 0 || size != protowire.SizeVarint(n) || n > uint64(len(b)-1-size) {
		return nil, nil, false
	}
	b = b[1+size:]
	return b[:n:n], b[n:], true
}
