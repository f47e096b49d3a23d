package wire

import (
	"math"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// fault says what is wrong at a place in a message; the zero fault is none.
type fault uint8

const (
	sound fault = iota
	truncated
	overflow
	badNumber
	badType
	badGroup
	tooDeep
	badUTF8
	tooLong
)

var faultTexts = [...]string{
	"nothing is wrong", "is cut short", "holds a varint over 64 bits", "holds an impossible field number",
	"holds an unknown wire type", "has a group that ends where it should not", "nests groups too deep",
	"is not valid UTF-8", "is over 2 GiB",
}

// maxGroupDepth is how deep groups may nest: protowire.ConsumeFieldValue
// starts with protowire.DefaultRecursionLimit levels and stops below zero.
const maxGroupDepth = protowire.DefaultRecursionLimit + 1

// cursor reads the bytes of a message in order, across its buffers. What lies
// within one buffer is read there; only a value that straddles a border takes
// the slow path. Methods that read may run past the end of the sub-message
// they are in, never of the message: callers compare offset with that end.
type cursor struct {
	bufs mem.BufferSlice
	cur  []byte // the buffer being read
	i    int    // index in cur of the next byte
	base int    // offset in the message of cur[0]
	next int    // index in bufs of the buffer after cur
}

// offset is the place of the next byte in the message.
func (c *cursor) offset() int { return c.base + c.i }

// advance steps to the next buffer that holds bytes; false after the last.
func (c *cursor) advance() bool {
	for c.next < len(c.bufs) {
		c.base += len(c.cur)
		c.cur, c.i = c.bufs[c.next].ReadOnlyData(), 0
		c.next++
		if len(c.cur) > 0 {
			return true
		}
	}
	return false
}

// skip moves n bytes on; the caller has made sure that they exist.
func (c *cursor) skip(n int) {
	for n > len(c.cur)-c.i {
		n -= len(c.cur) - c.i
		c.i = len(c.cur)
		if !c.advance() {
			return
		}
	}
	c.i += n
}

// chunk returns the next bytes that lie together, at most n and at least one
// while there are any, and moves past them.
func (c *cursor) chunk(n int) []byte {
	if c.i == len(c.cur) && !c.advance() {
		return nil
	}
	n = min(n, len(c.cur)-c.i)
	b := c.cur[c.i : c.i+n]
	c.i += n
	return b
}

// varint reads a varint of at most 64 bits; as in protowire, any encoding of
// up to ten bytes will do.
func (c *cursor) varint() (uint64, fault) {
	if c.i < len(c.cur) {
		if b := c.cur[c.i]; b < 0x80 {
			c.i++
			return uint64(b), sound
		}
	}
	return c.longVarint()
}

func (c *cursor) longVarint() (v uint64, f fault) {
	for shift := uint(0); shift < 70; shift += 7 {
		if c.i == len(c.cur) && !c.advance() {
			return 0, truncated
		}
		b := c.cur[c.i]
		c.i++
		if shift == 63 && b > 1 {
			return 0, overflow
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, sound
		}
	}
	return 0, overflow
}

// tag reads a field's number and wire type. max is the highest number allowed
// here: protobuf's own limit, save in unknown groups, where protobuf-go lets
// any positive int32 pass.
func (c *cursor) tag(end int, limit uint64) (protowire.Number, protowire.Type, fault) {
	v, f := c.varint()
	switch {
	case f != sound:
		return 0, 0, f
	case c.offset() > end:
		return 0, 0, truncated
	case v>>3 == 0 || v>>3 > limit:
		return 0, 0, badNumber
	}
	return protowire.Number(v >> 3), protowire.Type(v & 7), sound
}

// length reads the length of a bytes value and checks that the value ends
// within end.
func (c *cursor) length(end int) (int, fault) {
	v, f := c.varint()
	if f != sound {
		return 0, f
	}
	if off := c.offset(); off > end || v > uint64(end-off) {
		return 0, truncated
	}
	return int(v), sound
}

// fixed skips n bytes within end.
func (c *cursor) fixed(n, end int) fault {
	if end-c.offset() < n {
		return truncated
	}
	c.skip(n)
	return sound
}

// value skips one field's value, of any wire type.
func (c *cursor) value(num protowire.Number, typ protowire.Type, end int) fault {
	switch typ {
	case protowire.VarintType:
		if _, f := c.varint(); f != sound {
			return f
		}
		if c.offset() > end {
			return truncated
		}
		return sound
	case protowire.Fixed32Type:
		return c.fixed(4, end)
	case protowire.Fixed64Type:
		return c.fixed(8, end)
	case protowire.BytesType:
		n, f := c.length(end)
		c.skip(n)
		return f
	case protowire.StartGroupType:
		return c.group(num, end)
	case protowire.EndGroupType:
		return badGroup
	default:
		return badType
	}
}

// group skips what is left of a group up to its end marker. It keeps the open
// groups in a slice, not on the stack, so that nesting costs 4 bytes a level.
func (c *cursor) group(num protowire.Number, end int) fault {
	var shallow [8]protowire.Number
	open := append(shallow[:0], num)
	for len(open) > 0 {
		n, typ, f := c.tag(end, math.MaxInt32)
		if f != sound {
			return f
		}
		switch typ {
		case protowire.StartGroupType:
			if len(open) == maxGroupDepth {
				return tooDeep
			}
			open = append(open, n)
		case protowire.EndGroupType:
			if open[len(open)-1] != n {
				return badGroup
			}
			open = open[:len(open)-1]
		default:
			if f := c.value(n, typ, end); f != sound {
				return f
			}
		}
	}
	return sound
}
