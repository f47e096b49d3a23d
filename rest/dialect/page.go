package dialect

import (
	"math"
	"strconv"
)

const (
	// PageSize is how much JSON a [Page] should hold before it has it flushed, in bytes.
	PageSize = 32 << 10
	// slack is kept free in a page, so that whatever is written next in one go
	// (a number, a name's delimiters) fits: a double takes 25 bytes at most.
	slack = 64
)

// Page is JSON on its way out. It belongs to one goroutine.
type Page struct {
	// Flush takes what is written whenever the page is full. It may not keep it.
	Flush func([]byte) error
	buf   []byte
	size  int64
	err   error
}

// NewPage writes to buf, which flush gets when it is full. PageSize is a good
// length for it; a few hundred bytes are needed.
func NewPage(buf []byte, flush func([]byte) error) *Page {
	return &Page{Flush: flush, buf: buf[:0:len(buf)]}
}

// Rest is what has not been flushed.
func (p *Page) Rest() []byte { return p.buf }

// Size is how much was written, in bytes.
func (p *Page) Size() int64 { return p.size + int64(len(p.buf)) }

// Err is the first error of Flush; after it nothing is written.
func (p *Page) Err() error { return p.err }

// room has slack bytes free from now on, so that a number can be appended without
// another look.
func (p *Page) room() {
	if cap(p.buf)-len(p.buf) < slack {
		p.flush()
	}
}

func (p *Page) flush() {
	if p.err == nil {
		p.err = p.Flush(p.buf)
	}
	p.size += int64(len(p.buf))
	p.buf = p.buf[:0]
}

// raw writes text that is JSON already.
func (p *Page) raw(s string) {
	for {
		n := min(len(s), cap(p.buf)-len(p.buf))
		p.buf = append(p.buf, s[:n]...)
		if s = s[n:]; s == "" {
			return
		}
		p.flush()
	}
}

func (p *Page) byte(c byte) {
	p.room()
	p.buf = append(p.buf, c)
}

func (p *Page) int(v int64) {
	p.room()
	p.buf = strconv.AppendInt(p.buf, v, 10)
}

func (p *Page) uint(v uint64) {
	p.room()
	p.buf = strconv.AppendUint(p.buf, v, 10)
}

func (p *Page) bool(v bool) {
	p.room()
	p.buf = strconv.AppendBool(p.buf, v)
}

func (p *Page) float(f float64) {
	p.room()
	p.buf = appendFloat(p.buf, f)
}

// The doubles that are written with all their digits, as RapidJSON lays them out.
const (
	leastPositional = 1e-6
	mostPositional  = 1e21
)

// appendFloat writes f so that it reads back to the same double, and as Triton
// writes it: with a point or an exponent, and NaN and Infinity as such, which is
// no JSON but what its clients read. An FP32 is written as the double that it is,
// with all the digits that takes.
func appendFloat(b []byte, f float64) []byte {
	abs := math.Abs(f)
	switch {
	case abs >= leastPositional && abs < mostPositional:
		start := len(b)
		b = strconv.AppendFloat(b, f, 'f', -1, 64)
		for _, c := range b[start:] {
			if c == '.' {
				return b
			}
		}
		return append(b, ".0"...)
	case f == 0:
		if math.Signbit(f) {
			return append(b, "-0.0"...)
		}
		return append(b, "0.0"...)
	case f != f:
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	default:
		return appendExponent(b, f)
	}
}

// appendExponent writes f as 1.5e-7: no plus, no leading zero.
func appendExponent(b []byte, f float64) []byte {
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	e := len(b) - 1
	for b[e] != 'e' {
		e--
	}
	out := b[:e+1]
	i := e + 1
	if b[i] == '-' {
		out = append(out, '-')
	}
	for i++; b[i] == '0' && i < len(b)-1; i++ {
	}
	return append(out, b[i:]...)
}

const hexDigits = "0123456789ABCDEF"

// quote writes a string. Bytes that are no UTF-8 go out as they are, as
// Triton's do: who has such data asks for it in binary.
func (p *Page) quote(s []byte) {
	p.byte('"')
	p.escaped(s)
	p.byte('"')
}

func (p *Page) quoteString(s string) {
	p.byte('"')
	p.escaped([]byte(s))
	p.byte('"')
}

// escaped writes a piece of a string.
func (p *Page) escaped(s []byte) {
	for len(s) > 0 {
		n := 0
		for n < len(s) && plain[s[n]] {
			n++
		}
		for part := s[:n]; len(part) > 0; {
			k := min(len(part), cap(p.buf)-len(p.buf))
			p.buf = append(p.buf, part[:k]...)
			if part = part[k:]; len(part) > 0 {
				p.flush()
			}
		}
		if s = s[n:]; len(s) > 0 {
			p.escape(s[0])
			s = s[1:]
		}
	}
}

func (p *Page) escape(c byte) {
	p.room()
	switch c {
	case '"', '\\':
		p.buf = append(p.buf, '\\', c)
	case '\b':
		p.buf = append(p.buf, `\b`...)
	case '\f':
		p.buf = append(p.buf, `\f`...)
	case '\n':
		p.buf = append(p.buf, `\n`...)
	case '\r':
		p.buf = append(p.buf, `\r`...)
	case '\t':
		p.buf = append(p.buf, `\t`...)
	default:
		p.buf = append(p.buf, `\u00`...)
		p.buf = append(p.buf, hexDigits[c>>4], hexDigits[c&15])
	}
}

// BeginEvent and EndEvent stand around the data of a Server-Sent Event.
func (p *Page) BeginEvent() { p.raw("data: ") }

// EndEvent ends an event; it goes out with what comes after it, or with Send.
func (p *Page) EndEvent() { p.raw("\n\n") }

// Send has flushed what is written. The error is the page's.
func (p *Page) Send() error {
	p.flush()
	return p.err
}
