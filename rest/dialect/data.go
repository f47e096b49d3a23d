package dialect

import (
	"encoding/binary"
	"math"

	"github.com/sluice-gateway/sluice/wire"
)

// raw is a tensor's raw data within a message: bytes, or a range of its buffers.
type raw struct {
	flat []byte
	m    *wire.Message // nil where flat is all
	span wire.Span
}

func (r raw) len() int {
	if r.m == nil {
		return len(r.flat)
	}
	return r.span.Len()
}

// chunks yields the data's pieces in order, until yield says no.
func (r raw) chunks(yield func([]byte) bool) {
	if r.m == nil {
		if len(r.flat) > 0 {
			yield(r.flat)
		}
		return
	}
	start, end := r.span.Range()
	at := 0
	for _, b := range r.m.Buffers() {
		data := b.ReadOnlyData()
		from, to := max(start-at, 0), min(end-at, len(data))
		if at += len(data); from < to && !yield(data[from:to]) {
			return
		}
		if at >= end {
			return
		}
	}
}

// data writes an output's elements as a flat array.
func (p *Page) data(o *outputTensor) {
	p.byte('[')
	p.elementsOf(o)
	p.byte(']')
}

// elementsOf writes an output's elements with commas between them.
func (p *Page) elementsOf(o *outputTensor) {
	if o.kind == typeBytes {
		p.strings(o)
	} else {
		p.numbers(o)
	}
}

// numbers writes elements of a fixed width. gRPC's buffers end where its frames
// do, in the middle of an element too: one that straddles them is put together.
func (p *Page) numbers(o *outputTensor) {
	width := widths[o.kind]
	var carry [8]byte
	carried, isFirst := 0, true
	for chunk := range o.raw.chunks {
		if carried > 0 {
			n := copy(carry[carried:width], chunk)
			chunk = chunk[n:]
			if carried += n; carried < width {
				continue
			}
			p.elements(o.kind, carry[:width], &isFirst)
			carried = 0
		}
		whole := len(chunk) / width * width
		p.elements(o.kind, chunk[:whole], &isFirst)
		carried = copy(carry[:], chunk[whole:])
		if p.err != nil {
			return
		}
	}
}

// elements writes whole elements.
func (p *Page) elements(kind datatype, b []byte, isFirst *bool) {
	width := widths[kind]
	for ; len(b) > 0; b = b[width:] {
		p.room()
		if *isFirst {
			*isFirst = false
		} else {
			p.buf = append(p.buf, ',')
		}
		switch kind {
		case typeFP32:
			p.buf = appendFloat(p.buf, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
		case typeFP64:
			p.buf = appendFloat(p.buf, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		case typeBool:
			p.bool(b[0] != 0)
		case typeUint8:
			p.uint(uint64(b[0]))
		case typeUint16:
			p.uint(uint64(binary.LittleEndian.Uint16(b)))
		case typeUint32:
			p.uint(uint64(binary.LittleEndian.Uint32(b)))
		case typeUint64:
			p.uint(binary.LittleEndian.Uint64(b))
		case typeInt8:
			p.int(int64(int8(b[0])))
		case typeInt16:
			p.int(int64(int16(binary.LittleEndian.Uint16(b))))
		case typeInt32:
			p.int(int64(int32(binary.LittleEndian.Uint32(b))))
		case typeInt64:
			p.int(int64(binary.LittleEndian.Uint64(b)))
		}
	}
}

// strings writes the elements of a BYTES tensor, which check has walked.
func (p *Page) strings(o *outputTensor) {
	var w bytesWalk
	isFirst := true
	for chunk := range o.raw.chunks {
		for len(chunk) > 0 {
			var part []byte
			part, chunk = w.step(chunk)
			if w.opened {
				if !isFirst {
					p.byte(',')
				}
				isFirst = false
				p.byte('"')
			}
			p.escaped(part)
			if w.closed {
				p.byte('"')
			}
		}
		if p.err != nil {
			return
		}
	}
}

// bytesWalk walks the elements of a BYTES tensor through its pieces: a prefix and
// an element may be cut anywhere. It keeps nothing of them, so that an element of
// a gigabyte is written in the pieces that it came in.
type bytesWalk struct {
	prefix         [4]byte
	got            int    // bytes of the prefix
	left           uint32 // of the element
	inside         bool
	opened, closed bool // whether the last step began an element, or ended it
	count          int64
}

// step takes from chunk a prefix or a part of an element, which it returns.
func (w *bytesWalk) step(chunk []byte) (part, rest []byte) {
	w.opened, w.closed = false, false
	if !w.inside {
		n := copy(w.prefix[w.got:], chunk)
		if w.got += n; w.got < len(w.prefix) {
			return nil, nil
		}
		w.got, w.inside, w.opened = 0, true, true
		w.left = binary.LittleEndian.Uint32(w.prefix[:])
		w.closed = w.left == 0
		w.inside = !w.closed
		w.count++
		return nil, chunk[n:]
	}
	n := min(len(chunk), int(w.left))
	w.left -= uint32(n)
	if w.left == 0 {
		w.inside, w.closed = false, true
	}
	return chunk[:n], chunk[n:]
}

// whole tells whether the walk is at an element's end.
func (w *bytesWalk) whole() bool { return !w.inside && w.got == 0 }
