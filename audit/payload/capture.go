package payload

import (
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/wire"
)

// Bounds of a capture.
const (
	// maxFrames is how many messages of one call are told of at all.
	maxFrames = 64 << 10
	// firstBlock is what a capture holds at first, lastBlock what it grows by at most:
	// what is there stays where it is.
	firstBlock, lastBlock = 4 << 10, 32 << 10
	// frameBytes is what a frame takes of the budget besides its bytes, about.
	frameBytes = 80
)

// budget bounds the bytes of all captures. It refuses and never waits.
type budget struct {
	most int64
	held atomic.Int64
}

func (b *budget) take(n int) bool {
	if b.held.Add(int64(n)) > b.most {
		b.held.Add(int64(-n))
		return false
	}
	return true
}

func (b *budget) give(n int) { b.held.Add(int64(-n)) }

// Capture is what one call, or one request of a stream, says and is answered. Its
// methods copy what they are given, never wait, and are safe for concurrent use;
// those of a nil Capture do nothing, so that calls which are not captured need no
// question. Each Capture is ended by [Capture.Close] or [Capture.Drop].
type Capture struct {
	keeper *Keeper
	rule   *Rule
	model  string
	masker Masker
	opened time.Time

	mu     sync.Mutex
	frames []Frame
	block  []byte // what the last frames' messages are in
	stored int    // bytes in all blocks
	held   int    // of the budget
	lost   Lost   // why nothing is kept; 0 while something is
	cut    bool   // a message did not fit
	closed bool
	marks  []uint64
}

// Request notes a request of inference as it goes on to the backend.
func (c *Capture) Request(m *wire.Message) {
	if c != nil && c.rule.Requests {
		c.message(Request, m)
	}
}

// Answer notes the answer of a unary call as it leaves.
func (c *Capture) Answer(m *wire.Message) { c.message(Answer, m) }

// Stream notes an answer of a stream as it leaves. at is the time that it is: streams
// have so many answers that asking for it twice shows.
func (c *Capture) Stream(m *wire.Message, at time.Time) {
	if c != nil {
		c.messageOf(Stream, "", m, at)
	}
}

// OtherMessage notes the request of an RPC that is no inference, of a protobuf type.
func (c *Capture) OtherMessage(typ string, m *wire.Message) {
	if c != nil && c.rule.Requests {
		c.messageOf(OtherAsked, typ, m, c.keeper.now())
	}
}

// OtherRequest is OtherMessage for one that is decoded.
func (c *Capture) OtherRequest(m proto.Message) {
	if c != nil && c.rule.Requests {
		c.other(OtherAsked, m)
	}
}

// OtherAnswer notes the answer of an RPC that is no inference.
func (c *Capture) OtherAnswer(m proto.Message) { c.other(OtherAnswer, m) }

// Failure notes the words of the error that the call ends with.
func (c *Capture) Failure(text string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begin(Failure, len(text), c.keeper.now()) {
		c.end(append(c.block, text...))
	}
}

// Marks adds hashes of values that were masked before they could be captured.
func (c *Capture) Marks(marks []uint64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks = append(c.marks, marks...)
}

// Drop gives the capture up: nothing of it is kept.
func (c *Capture) Drop() { c.lose(Unattributed) }

// lose gives up for a reason.
func (c *Capture) lose(why Lost) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.release(why)
}

// message copies m.
func (c *Capture) message(kind Kind, m *wire.Message) {
	if c != nil {
		c.messageOf(kind, "", m, c.keeper.now())
	}
}

func (c *Capture) messageOf(kind Kind, typ string, m *wire.Message, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begin(kind, m.Len(), at) {
		return
	}
	c.frames[len(c.frames)-1].Type = typ
	to := c.block
	for _, b := range m.Buffers() {
		to = append(to, b.ReadOnlyData()...)
	}
	c.end(to)
}

// other encodes m.
func (c *Capture) other(kind Kind, m proto.Message) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begin(kind, proto.Size(m), c.keeper.now()) {
		return
	}
	c.frames[len(c.frames)-1].Type = string(m.ProtoReflect().Descriptor().FullName())
	to, err := proto.MarshalOptions{}.MarshalAppend(c.block, m)
	if err != nil {
		c.release(Unmasked)
		return
	}
	c.end(to)
}

// begin notes a frame, and tells whether there is room for its n bytes. c is locked.
func (c *Capture) begin(kind Kind, n int, at time.Time) bool {
	if c.closed || c.lost != 0 {
		return false
	}
	if len(c.frames) == maxFrames {
		c.cut = true
		return false
	}
	if !c.grow(n) {
		return false
	}
	f := Frame{Kind: kind, At: max(at.Sub(c.opened), 0), Size: n}
	// What follows one that does not fit is left out too: nobody could tell what it
	// belongs to.
	c.cut = c.cut || c.stored+n > int(c.rule.Cap)
	f.Cut = c.cut
	c.frames = append(c.frames, f)
	return !c.cut
}

// end takes the block with the last frame's message at its end.
func (c *Capture) end(block []byte) {
	start := len(c.block)
	c.frames[len(c.frames)-1].Message = block[start:len(block):len(block)]
	c.block, c.stored = block, c.stored+len(block)-start
}

// grow makes room for n bytes and a frame, in steps, on the budget's account.
func (c *Capture) grow(n int) bool {
	if !c.cut && c.stored+n <= int(c.rule.Cap) && len(c.block)+n > cap(c.block) {
		size := max(firstBlock, min(2*cap(c.block), lastBlock))
		size = max(n, min(size, int(c.rule.Cap)-c.stored))
		if !c.charge(size) {
			return false
		}
		c.block = make([]byte, 0, size)
	}
	if len(c.frames) == cap(c.frames) {
		to := max(8, 2*cap(c.frames))
		if !c.charge((to - cap(c.frames)) * frameBytes) {
			return false
		}
		c.frames = append(make([]Frame, 0, to), c.frames...)
	}
	return true
}

func (c *Capture) charge(n int) bool {
	if !c.keeper.budget.take(n) {
		c.release(NoMemory)
		return false
	}
	c.held += n
	return true
}

// release gives up what is held. c is locked.
func (c *Capture) release(why Lost) {
	if c.lost == 0 && !c.closed {
		c.lost = why
	}
	c.keeper.budget.give(c.held)
	c.held, c.frames, c.block = 0, nil, nil
}
