package wire

// span is a range of bytes of a message; messages are under 2 GiB.
type span struct{ off, end uint32 }

func (s span) len() int { return int(s.end - s.off) }

// Span is the value of a string or bytes field: a range of a message, valid
// until the message is freed. The zero Span is an absent field and reads as empty.
type Span struct {
	m *Message
	s span
}

// Len is the length in bytes. Ask it first where a caller chooses the length.
func (s Span) Len() int { return s.s.len() }

// Range says where in the message the value lies, as [Message.Splice] counts.
func (s Span) Range() (start, end int) { return int(s.s.off), int(s.s.end) }

// Sub is the part [start,end) of the value; the caller keeps to its length.
func (s Span) Sub(start, end int) Span {
	return Span{s.m, span{s.s.off + uint32(start), s.s.off + uint32(end)}}
}

// Bytes returns the value, not to be written to nor used after the message is
// freed. Where it straddles buffers it is a copy.
func (s Span) Bytes() []byte {
	if s.m == nil {
		return nil
	}
	return s.m.bytes(s.s)
}

// String returns a copy of the value, which outlives the message.
func (s Span) String() string {
	if s.Len() == 0 {
		return ""
	}
	c := s.m.cursorAt(int(s.s.off))
	first := c.chunk(s.Len())
	if len(first) == s.Len() {
		return string(first)
	}
	return string(s.Bytes())
}

// Is tells whether the value is text, without copying either.
func (s Span) Is(text string) bool {
	if s.Len() != len(text) {
		return false
	}
	if text == "" {
		return true
	}
	c := s.m.cursorAt(int(s.s.off))
	for text != "" {
		b := c.chunk(len(text))
		if string(b) != text[:len(b)] {
			return false
		}
		text = text[len(b):]
	}
	return true
}

// same tells whether two ranges of m hold the same bytes.
func (m *Message) same(a, b span) bool {
	if a.len() != b.len() {
		return false
	}
	ca, cb := m.cursorAt(int(a.off)), m.cursorAt(int(b.off))
	for n := a.len(); n > 0; {
		pa := ca.chunk(n)
		for n -= len(pa); len(pa) > 0; {
			pb := cb.chunk(len(pa))
			if string(pa[:len(pb)]) != string(pb) {
				return false
			}
			pa = pa[len(pb):]
		}
	}
	return true
}
