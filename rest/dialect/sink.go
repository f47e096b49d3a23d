package dialect

import (
	"encoding/binary"
	"io"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/wire"
)

// The sizes of a sink's buffers: small ones first, since most requests are. They
// are those of gRPC's pool.
var sinkSizes = [...]int{4 << 10, 32 << 10, 32 << 10}

// largeBuffer is the size of a sink's later buffers, in bytes.
const largeBuffer = 1 << 20

// headRoom is what the head of a raw_input_contents field takes at most: its tag
// and the length of less than 2 GiB.
const headRoom = 6

// sink collects bytes in pooled buffers, each charged before it is borrowed.
type sink struct {
	in   *wire.Intake
	full []*[]byte
	cur  *[]byte
	free []byte // what is left of cur
	size int    // of all that was written

	head struct { // of the field that is being written
		buf  *[]byte
		at   int
		size int
	}
}

// room returns at least n bytes to write to, n being small; wrote takes them.
func (s *sink) room(n int) ([]byte, error) {
	if len(s.free) >= n {
		return s.free, nil
	}
	s.cut()
	size := largeBuffer
	if i := len(s.full); i < len(sinkSizes) {
		size = sinkSizes[i]
	}
	if err := s.in.Charge(size); err != nil {
		return nil, err
	}
	s.cur = s.in.Pool().Get(size)
	s.free = *s.cur
	return s.free, nil
}

// wrote says that n bytes of the room are written.
func (s *sink) wrote(n int) {
	s.free = s.free[n:]
	s.size += n
}

// cut ends the current buffer: what is written from now on is in others.
func (s *sink) cut() {
	if s.cur == nil {
		return
	}
	*s.cur = (*s.cur)[:len(*s.cur)-len(s.free)]
	s.full = append(s.full, s.cur)
	s.cur, s.free = nil, nil
}

func (s *sink) write(p []byte) error {
	for len(p) > 0 {
		room, err := s.room(1)
		if err != nil {
			return err
		}
		n := copy(room, p)
		s.wrote(n)
		p = p[n:]
	}
	return nil
}

// add is write for the pieces of a text.
func (s *sink) add(p ...byte) error { return s.write(p) }

// begin leaves room for the head of a field whose length is not known yet, in the
// buffer where the field begins.
func (s *sink) begin() error {
	if _, err := s.room(headRoom); err != nil {
		return err
	}
	s.head.buf, s.head.at = s.cur, len(*s.cur)-len(s.free)
	s.wrote(headRoom)
	s.head.size = s.size
	return nil
}

// length is how much of the field there is.
func (s *sink) length() int { return s.size - s.head.size }

// end writes the head of the field that began, and closes the gap that a short
// length leaves: protobuf would take a longer varint too, but then there would
// be two ways to write one message. Only the bytes in the first buffer are moved.
func (s *sink) end(num protowire.Number) {
	n := s.length()
	var head [headRoom]byte
	h := protowire.AppendVarint(protowire.AppendTag(head[:0], num, protowire.BytesType), uint64(n))
	gap := headRoom - len(h)
	buf := *s.head.buf
	used := len(buf)
	if s.head.buf == s.cur {
		used -= len(s.free)
	}
	copy(buf[s.head.at:], h)
	if gap > 0 {
		copy(buf[s.head.at+len(h):], buf[s.head.at+headRoom:used])
		if s.head.buf == s.cur {
			s.free = buf[used-gap:]
		} else {
			*s.head.buf = buf[:used-gap]
		}
		s.size -= gap
	}
	s.head.buf = nil
}

// drop takes back what was written of the field since begin, head and all. What
// was charged for it stays charged until the message is freed.
func (s *sink) drop() {
	for s.cur != s.head.buf {
		if s.cur != nil {
			s.in.Pool().Put(s.cur)
		}
		s.cur = s.full[len(s.full)-1]
		s.full = s.full[:len(s.full)-1]
		*s.cur = (*s.cur)[:cap(*s.cur)]
	}
	s.free = (*s.cur)[s.head.at:]
	s.size = s.head.size - headRoom
}

// give appends what is collected to the message.
func (s *sink) give() {
	s.cut()
	s.giveSome(len(s.full))
}

// giveSome appends the first n buffers to the message.
func (s *sink) giveSome(n int) {
	for _, b := range s.full[:n] {
		appendBuffer(s.in, b)
	}
	s.full = s.full[n:]
}

// appendBuffer makes a pooled buffer part of the message.
func appendBuffer(in *wire.Intake, b *[]byte) {
	if len(*b) == 0 {
		in.Pool().Put(b)
		return
	}
	in.Append(mem.NewBuffer(b, in.Pool()))
}

// pieces reads buffers one after the other.
type pieces struct {
	bufs []*[]byte
	at   int
}

// Read reads from the first buffer that is not read to its end.
func (p *pieces) Read(into []byte) (int, error) {
	for len(p.bufs) > 0 {
		if n := copy(into, (*p.bufs[0])[p.at:]); n > 0 {
			p.at += n
			return n, nil
		}
		p.bufs, p.at = p.bufs[1:], 0
	}
	return 0, io.EOF
}

// discard gives the buffers back unused.
func (s *sink) discard() {
	s.cut()
	for _, b := range s.full {
		s.in.Pool().Put(b)
	}
	s.full = nil
}

// put32 and put64 write a little-endian number.
func (s *sink) put32(v uint32) error {
	room, err := s.room(4)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(room, v)
	s.wrote(4)
	return nil
}

func (s *sink) put64(v uint64) error {
	room, err := s.room(8)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint64(room, v)
	s.wrote(8)
	return nil
}
