package wire

import "google.golang.org/protobuf/encoding/protowire"

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
