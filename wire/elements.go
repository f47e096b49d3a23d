package wire

import (
	"errors"
	"iter"
)

// Errors of [Elements]: what a BYTES tensor's raw data can have wrong with it.
var (
	ErrElementPrefix = errors.New("the data ends within an element's length prefix")
	ErrElementLength = errors.New("an element's length prefix is longer than the data that follows")
)

// elementPrefix is how many bytes stand before an element: its length as a
// little-endian uint32 (KServe v2, "Tensor Data: BYTES").
const elementPrefix = 4

// Elements walks the elements of a BYTES tensor's raw data, in place and across
// buffers. A lying prefix ends the walk before anything is made of it.
//
//	for it := raw.Elements(); it.Next(); { … it.Element() … }
type Elements struct {
	c    cursor
	m    *Message
	end  int
	elem span
	err  error
}

// Elements walks s as the raw data of a BYTES tensor.
func (s Span) Elements() Elements {
	if s.Len() == 0 {
		return Elements{}
	}
	return Elements{c: s.m.cursorAt(int(s.s.off)), m: s.m, end: int(s.s.end)}
}

// Next moves to the next element; false after the last, or at an error.
func (e *Elements) Next() bool {
	left := e.end - e.c.offset()
	switch {
	case e.err != nil || left == 0:
		return false
	case left < elementPrefix:
		e.err = ErrElementPrefix
		return false
	}
	n := e.c.little(elementPrefix)
	if n > uint64(left-elementPrefix) {
		e.err = ErrElementLength
		return false
	}
	start := e.c.offset()
	e.elem = span{uint32(start), uint32(start) + uint32(n)}
	e.c.skip(int(n))
	return true
}

// Element is the element that Next moved to, without its prefix.
func (e *Elements) Element() Span { return Span{e.m, e.elem} }

// Prefix is where that element's length stands.
func (e *Elements) Prefix() Range {
	return Range{int(e.elem.off) - elementPrefix, int(e.elem.off)}
}

// Err is what ended the walk early, nil if nothing did.
func (e *Elements) Err() error { return e.err }

// Chunks yields the value in the pieces that lie together, without copying.
func (s Span) Chunks() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if s.Len() == 0 {
			return
		}
		c := s.m.cursorAt(int(s.s.off))
		for n := s.Len(); n > 0; {
			b := c.chunk(n)
			if n -= len(b); !yield(b) {
				return
			}
		}
	}
}
