package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// utf8 checks that the next n bytes are UTF-8, in as many pieces as they come,
// and moves past them.
func (c *cursor) utf8(n int) fault {
	var held [utf8.UTFMax]byte // a rune that straddles a border
	hold := 0
	for n > 0 {
		b := c.chunk(n)
		n -= len(b)
		for hold > 0 && len(b) > 0 {
			held[hold] = b[0]
			hold++
			b = b[1:]
			if utf8.FullRune(held[:hold]) {
				if !utf8.Valid(held[:hold]) {
					return badUTF8
				}
				hold = 0
			}
		}
		whole := wholeRunes(b, n == 0)
		if !utf8.Valid(b[:whole]) {
			return badUTF8
		}
		hold += copy(held[hold:], b[whole:])
	}
	if hold > 0 {
		return badUTF8
	}
	return sound
}

// wholeRunes is how much of b can be checked before more of it is known.
func wholeRunes(b []byte, last bool) int {
	if last {
		return len(b)
	}
	for i := len(b) - 1; i >= 0 && i > len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if utf8.FullRune(b[i:]) {
				return len(b)
			}
			return i
		}
	}
	return len(b)
}

// continued are the bits that mark a varint's bytes as not its last.
const continued = 0x8080808080808080

// packed checks that the next n bytes are varints of at most 64 bits, and
// moves past them.
func (c *cursor) packed(n int) fault {
	run := 0 // bytes of the current varint so far
	for n > 0 {
		b := c.chunk(n)
		n -= len(b)
		for len(b) > 0 {
			if run == 0 && len(b) >= 8 && binary.LittleEndian.Uint64(b)&continued == 0 {
				b = b[8:]
				continue
			}
			if run == 9 && b[0] > 1 {
				return overflow
			}
			if run++; b[0] < 0x80 {
				run = 0
			}
			b = b[1:]
		}
	}
	if run != 0 {
		return truncated
	}
	return sound
}
