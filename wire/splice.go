package wire

import (
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// shareFrom is the size from which a run of bytes is shared with the
	// message that it comes from; what is shorter costs less to copy than a
	// reference to it.
	shareFrom = 1 << 10
	// freshSize is the size of the buffers that new and copied bytes go to.
	freshSize = 4 << 10
)

// Edit replaces the bytes [Start,End) of a message with New.
type Edit struct {
	Start, End int
	New        []byte // copied
}

// Splice returns a message with the edits made, which are in order and do not
// overlap. What they leave alone is shared, not copied, and stays alive until
// both messages are freed; the charge is shared too, new bytes are added to it. Lengths that
// stand before edited values are edited by the caller. The errors are those of
// edits out of order and the budget's.
func (m *Message) Splice(edits []Edit) (*Message, error) {
	b := newBuilder(m)
	at := 0
	for i, e := range edits {
		if e.Start < at || e.End < e.Start || e.End > m.size {
			b.discard()
			return nil, fmt.Errorf("wire: edit %d of [%d,%d) is out of order or place in %d bytes", i, e.Start, e.End, m.size)
		}
		b.keep(at, e.Start)
		b.write(e.New)
		at = e.End
	}
	b.keep(at, m.size)
	return b.message()
}

// builder puts a message together from ranges of another and new bytes.
type builder struct {
	from    *Message
	out     mem.BufferSlice
	fresh   *[]byte // the buffer being filled, of which used bytes are
	used    int
	pending span // range of from not put out yet, to be joined with the next
	charge  *charge
	err     error
}

func newBuilder(from *Message) *builder {
	from.index()
	b := &builder{from: from, charge: from.charge}
	if b.charge != nil {
		b.charge.refs.Add(1)
	}
	return b
}

// keep puts out the bytes [start,end) of the original.
func (b *builder) keep(start, end int) {
	if start == end {
		return
	}
	if int(b.pending.end) == start && b.pending.len() > 0 {
		b.pending.end = uint32(end)
		return
	}
	b.settle()
	b.pending = span{uint32(start), uint32(end)}
}

// settle puts out the pending range: long stretches of buffers by reference,
// short ones as copies.
func (b *builder) settle() {
	s := b.pending
	b.pending = span{}
	if s.len() == 0 {
		return
	}
	c := b.from.cursorAt(int(s.off))
	for n := s.len(); n > 0; {
		part := c.chunk(n)
		n -= len(part)
		if len(part) < shareFrom {
			b.copy(part)
			continue
		}
		b.seal()
		b.out = append(b.out, c.bufs[c.next-1].Slice(c.i-len(part), c.i))
	}
}

// write puts out new bytes.
func (b *builder) write(p []byte) {
	b.settle()
	b.copy(p)
}

// tag puts out a field's tag and the length of its value.
func (b *builder) tag(num protowire.Number, length int) {
	var head [20]byte
	p := protowire.AppendTag(head[:0], num, protowire.BytesType)
	b.write(protowire.AppendVarint(p, uint64(length)))
}

func (b *builder) copy(p []byte) {
	for len(p) > 0 && b.err == nil {
		if b.fresh == nil && !b.open() {
			return
		}
		n := copy((*b.fresh)[b.used:], p)
		b.used += n
		p = p[n:]
		if b.used == len(*b.fresh) {
			b.seal()
		}
	}
}

// open gets a new buffer, charged before it is made.
func (b *builder) open() bool {
	if b.charge != nil {
		if b.err = b.charge.add(freshSize); b.err != nil {
			return false
		}
	}
	b.fresh = mem.DefaultBufferPool().Get(freshSize)
	return true
}

// seal puts out the buffer being filled.
func (b *builder) seal() {
	if b.fresh == nil {
		return
	}
	*b.fresh = (*b.fresh)[:b.used]
	b.out = append(b.out, mem.NewBuffer(b.fresh, mem.DefaultBufferPool()))
	b.fresh, b.used = nil, 0
}

// discard gives up what was built.
func (b *builder) discard() {
	b.seal()
	b.out.Free()
	if b.charge != nil {
		b.charge.drop()
	}
}

// message finishes what was built.
func (b *builder) message() (*Message, error) {
	b.settle()
	b.seal()
	if b.err != nil {
		b.discard()
		return nil, b.err
	}
	m := New(b.out)
	m.charge = b.charge
	return m, nil
}
