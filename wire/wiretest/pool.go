// Package wiretest helps tests to show that every buffer is freed exactly once
// and never touched after: [Pool] stands in for gRPC's buffer pool.
//
// Give it to servers and clients (experimental.BufferPool and
// experimental.WithBufferPool of grpc-go) and, in TestMain, to
// experimental.SetDefaultBufferPool; at the end of a test ask [Pool.Check].
package wiretest

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
)

// Poison is what freed buffers are filled with. It is no UTF-8, and as protobuf
// it is a field that is not known.
const Poison = 0xDB

const (
	// keptFreed is how many freed buffers are watched for writes.
	keptFreed = 256
	// leastCap is above the capacity up to which mem.NewBuffer leaves buffers to
	// the garbage collector, and never gives them back.
	leastCap = 1<<10 + 1
	// patience is how long Check waits for buffers that goroutines of gRPC's
	// still hold: they are on their way out when a server has stopped.
	patience = time.Minute
)

// Pool is a mem.BufferPool that never hands out a buffer twice: what is freed is
// filled with [Poison], so that a late reader sees nonsense and a late writer
// is seen. It is safe for concurrent use.
type Pool struct {
	mu     sync.Mutex
	out    map[*byte]string // outstanding buffers, and who got them
	freed  [][]byte         // the last ones freed
	gets   int
	faults []string
	idle   chan struct{} // closed whenever nothing is outstanding
}

var _ mem.BufferPool = (*Pool)(nil)

// NewPool returns an empty pool.
func NewPool() *Pool {
	p := &Pool{out: make(map[*byte]string), idle: make(chan struct{})}
	close(p.idle)
	return p
}

// Get returns a new buffer of n bytes.
func (p *Pool) Get(n int) *[]byte {
	b := make([]byte, n, max(n, leastCap))
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.out) == 0 {
		p.idle = make(chan struct{})
	}
	p.gets++
	p.out[first(b)] = caller()
	return &b
}

// Put takes a buffer back and poisons it. One that is not outstanding is a fault.
func (p *Pool) Put(buf *[]byte) {
	b := (*buf)[:cap(*buf)]
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.out[first(b)]; !ok {
		p.faults = append(p.faults, fmt.Sprintf("a buffer of %d bytes was put back that is not out:\n%s", cap(b), caller()))
		return
	}
	delete(p.out, first(b))
	for i := range b {
		b[i] = Poison
	}
	if len(p.freed) == keptFreed {
		p.inspect(p.freed[0])
		p.freed = p.freed[1:]
	}
	p.freed = append(p.freed, b)
	if len(p.out) == 0 {
		close(p.idle)
	}
}

// Outstanding is how many buffers are out.
func (p *Pool) Outstanding() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.out)
}

// Gets is how many buffers were handed out.
func (p *Pool) Gets() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gets
}

// Faults waits for all buffers to come back and lists what went wrong: buffers
// that did not, that came back twice, or that were written to when they had.
func (p *Pool) Faults() []string {
	p.mu.Lock()
	idle := p.idle
	p.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(patience):
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.freed {
		p.inspect(b)
	}
	faults := p.faults
	for _, who := range p.out {
		faults = append(faults, "a buffer was not freed, got by:\n"+who)
	}
	return faults
}

// Misuse lists at once what went wrong with buffers that came back: twice, or
// written to after. It is for tests whose clients break off: grpc-go leaves what
// was received and nobody read to the garbage collector.
func (p *Pool) Misuse() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.freed {
		p.inspect(b)
	}
	return p.faults
}

// Check fails the test for everything that [Pool.Faults] lists.
func (p *Pool) Check(tb testing.TB) {
	tb.Helper()
	for _, f := range p.Faults() {
		tb.Error(f)
	}
}

func (p *Pool) inspect(b []byte) {
	if bytes.Count(b, []byte{Poison}) != len(b) {
		p.faults = append(p.faults, fmt.Sprintf("a buffer of %d bytes was written to after it was freed", cap(b)))
	}
}

func first(b []byte) *byte { return &b[:1][0] }

// caller names the functions that called into the pool.
func caller() (s string) {
	var pcs [12]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		s += fmt.Sprintf("\t%s:%d\n", f.Function, f.Line)
		if !more {
			return s
		}
	}
}
