package wire

import (
	"runtime"
	"sync/atomic"

	"google.golang.org/grpc/mem"
)

// holdFrom is the size from which a message that is sent stays charged until
// gRPC has written it, in bytes. grpc-go takes a stream's first message
// whatever its size, and queues it while the other side does not read: who
// reads slowly, or a server that hangs, would keep gigabytes that nobody counts.
// What is smaller is bounded by the number of streams.
const holdFrom = 16 << 10

// hold is gRPC's part of a charge.
type hold struct {
	charge *charge
	over   atomic.Bool
}

func (h *hold) end() {
	if !h.over.Swap(true) {
		h.charge.drop()
	}
}

// tail is the pool of an empty buffer at the end of what is sent: when gRPC
// frees that one it has written all before it.
type tail struct{ hold *hold }

// Get is not called: nothing is allocated from this pool.
func (t *tail) Get(n int) *[]byte { b := make([]byte, n); return &b }

// Put hears that gRPC is done.
func (t *tail) Put(*[]byte) { t.hold.end() }

// room makes the empty buffer look large enough to be counted (mem.NewBuffer).
var room [1<<10 + 1]byte

// held returns bufs with a tail that keeps m's charge. grpc-go leaves what was
// queued on a connection that broke to the garbage collector, and so is the
// charge then.
func (m *Message) held(bufs mem.BufferSlice) mem.BufferSlice {
	if m.charge == nil || m.size < holdFrom {
		return bufs
	}
	m.charge.refs.Add(1)
	h := &hold{charge: m.charge}
	pool := &tail{hold: h}
	runtime.AddCleanup(pool, (*hold).end, h)
	empty := room[:0]
	return append(bufs[:len(bufs):len(bufs)], mem.NewBuffer(&empty, pool))
}
