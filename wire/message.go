package wire

import (
	"fmt"
	"sort"
	"sync/atomic"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// manyBuffers is from how many buffers on a scan remembers where each begins,
// so that places are found by bisection.
const manyBuffers = 8

// Message is one protobuf message over the buffers it was received in or is
// sent from. It owns one reference of each buffer until [Message.Free], which
// its owner calls exactly once, on every path. Views of a message and the byte
// slices that they hand out are valid until then.
//
// The zero Message is empty and ready to be received into. After a scan, a
// Message may be read by several goroutines; everything else is for one at a time.
type Message struct {
	bufs     mem.BufferSlice
	size     int
	starts   []uint32 // where each buffer begins; nil where they are few
	charge   *charge
	own      charge // where charge points unless it is shared
	freed    atomic.Bool
	view     view
	follower Follower
}

// New returns a message over bufs and takes over the caller's reference of each.
func New(bufs mem.BufferSlice) *Message {
	return &Message{bufs: bufs, size: bufs.Len()}
}

// FromBytes returns a message over b, which must not change any more.
func FromBytes(b []byte) *Message {
	return &Message{bufs: mem.BufferSlice{mem.SliceBuffer(b)}, size: len(b)}
}

// FromProto encodes m into a message of its own, in a pooled buffer.
func FromProto(m proto.Message) (*Message, error) {
	bufs, err := marshal(m)
	if err != nil {
		return nil, err
	}
	return New(bufs), nil
}

// marshal encodes m as grpc-go's own codec does.
func marshal(m proto.Message) (mem.BufferSlice, error) {
	size := proto.Size(m)
	opts := proto.MarshalOptions{UseCachedSize: true}
	if mem.IsBelowBufferPoolingThreshold(size) {
		b, err := opts.Marshal(m)
		return mem.BufferSlice{mem.SliceBuffer(b)}, err
	}
	pool := mem.DefaultBufferPool()
	buf := pool.Get(size)
	if _, err := opts.MarshalAppend((*buf)[:0], m); err != nil {
		pool.Put(buf)
		return nil, err
	}
	return mem.BufferSlice{mem.NewBuffer(buf, pool)}, nil
}

// Len is the size of the message in bytes.
func (m *Message) Len() int { return m.size }

// Buffers are the message's own buffers, in order. The caller takes references
// of its own (Ref) if it keeps them beyond the message.
func (m *Message) Buffers() mem.BufferSlice { return m.bufs }

// Unmarshal decodes the whole message into dst, which keeps nothing of it.
// A message that does not parse is a Malformed [access.Error].
func (m *Message) Unmarshal(dst proto.Message) error {
	buf := m.bufs.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	if err := proto.Unmarshal(buf.ReadOnlyData(), dst); err != nil {
		name := string(dst.ProtoReflect().Descriptor().Name())
		return malformed(&SyntaxError{Message: name, Problem: "does not parse"}, err)
	}
	return nil
}

// Charge makes a hold m's bytes until m is freed. A message that is charged
// already stays as it is. If the budget refuses, m is still the caller's.
func (m *Message) Charge(a *Account) error {
	if m.charge != nil {
		return nil
	}
	m.open(a)
	return m.charge.add(m.size)
}

// open points m's charge at a; nothing is charged yet. What m held before may
// still be shared with a message that was made out of it.
func (m *Message) open(a *Account) {
	m.charge = &m.own
	if m.own.refs.Load() != 0 {
		m.charge = new(charge)
	}
	m.charge.account = a
	m.charge.n.Store(0)
	m.charge.refs.Store(1)
}

// Take moves what src holds, buffers and charge, into m, which must be empty;
// src counts as freed from then on.
func (m *Message) Take(src *Message) error {
	if err := m.mustBeEmpty(); err != nil {
		return err
	}
	if src.freed.Swap(true) {
		freedAgain.Add(1)
		return fmt.Errorf("wire: a message was taken that was freed before")
	}
	m.bufs, m.size, m.charge, m.follower = src.bufs, src.size, src.charge, src.follower
	src.bufs, src.size, src.charge, src.follower = nil, 0, nil, nil
	m.freed.Store(false)
	return nil
}

// mustBeEmpty is asked of a message before something is received into it.
func (m *Message) mustBeEmpty() error {
	if m.bufs != nil || m.charge != nil {
		return fmt.Errorf("wire: a message was received into one of %d bytes that is still held", m.size)
	}
	return nil
}

// Reset gives up what m holds, and leaves it empty, to be received into again.
func (m *Message) Reset() {
	m.release()
	m.freed.Store(false)
}

// Free gives up the message's references and its charge. To free a message
// again is an error of the program: it does nothing, and [FreedAgain] counts it.
func (m *Message) Free() {
	if m.freed.Swap(true) {
		freedAgain.Add(1)
		return
	}
	m.release()
}

func (m *Message) release() {
	m.bufs.Free()
	m.bufs, m.starts, m.size, m.view, m.follower = nil, nil, 0, view{}, nil
	if m.charge != nil {
		m.charge.drop()
		m.charge = nil
	}
}

var freedAgain atomic.Int64

// FreedAgain is how many times in this process a message was freed that had
// been freed before: zero, or something is wrong. Tests compare it, metrics may show it.
func FreedAgain() int64 { return freedAgain.Load() }

// index notes where each buffer begins, if there are many.
func (m *Message) index() {
	if m.starts != nil || len(m.bufs) <= manyBuffers {
		return
	}
	starts := make([]uint32, len(m.bufs))
	at := 0
	for i, b := range m.bufs {
		starts[i] = uint32(at)
		at += b.Len()
	}
	m.starts = starts
}

// cursorAt returns a cursor whose next byte is the one at off.
func (m *Message) cursorAt(off int) cursor {
	c := cursor{bufs: m.bufs}
	if m.starts != nil {
		i := m.bufferOf(off)
		c.base, c.next = int(m.starts[i]), i
		c.advance()
		c.i = off - c.base
		return c
	}
	c.skip(off)
	return c
}

// bufferOf is which of many buffers off lies in. gRPC's are nearly all of one
// size, so that a guess is mostly right.
func (m *Message) bufferOf(off int) int {
	if off < m.size {
		i := off * (len(m.starts) - 1) / m.size
		if int(m.starts[i]) <= off && off < int(m.starts[i+1]) {
			return i
		}
	}
	return sort.Search(len(m.starts), func(i int) bool { return int(m.starts[i]) > off }) - 1
}

// bytes returns what lies between two places: the message's own memory if it
// is in one buffer, else a copy.
func (m *Message) bytes(s span) []byte {
	if s.len() == 0 {
		return nil
	}
	c := m.cursorAt(int(s.off))
	return c.take(s.len())
}
