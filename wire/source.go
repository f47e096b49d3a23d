package wire

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// Source is where messages come from that did not travel over gRPC: the body of
// an HTTP request, made into a message while it is read. The transport stream
// of such a call (grpc.ServerTransportStreamFromContext) implements it, and
// [Receiver] then asks it instead of RecvMsg, so that there too every byte is
// charged before it is in memory.
type Source interface {
	// Receive makes the next message through in; io.EOF says that there is none.
	// What it made before another error is thrown away.
	Receive(ctx context.Context, in *Intake) error
}

// Intake makes one message out of buffers, on an account. It is for one
// goroutine, and of no use once Receive has returned.
type Intake struct {
	m    *Message
	max  int
	pool mem.BufferPool
}

// NewIntake makes into, which must be empty, on account a; max bounds its size
// in bytes, pool lends its buffers. Who makes a message without a [Receiver]
// needs it: a test, or a caller that keeps no stream.
func NewIntake(into *Message, a *Account, pool mem.BufferPool, most int) (*Intake, error) {
	if err := into.mustBeEmpty(); err != nil {
		return nil, err
	}
	into.open(a)
	return &Intake{m: into, max: most, pool: pool}, nil
}

// Charge takes n more bytes of the account, which the message gives back when
// it is freed. The error is the budget's.
func (in *Intake) Charge(n int) error { return in.m.charge.add(n) }

// Fits refuses what Charge would refuse now, and takes nothing: asked first of
// what a caller announces, before the first of it is read.
func (in *Intake) Fits(n int) error { return in.m.charge.account.fits(n) }

// Pool lends buffers; each is charged first.
func (in *Intake) Pool() mem.BufferPool { return in.pool }

// Max is the size of the greatest message, in bytes.
func (in *Intake) Max() int { return in.max }

// Append adds b to the message and takes over the caller's reference.
func (in *Intake) Append(b mem.Buffer) {
	in.m.bufs = append(in.m.bufs, b)
	in.m.size += b.Len()
}

// sourceOf returns the source that stream's messages come from, or nil.
func sourceOf(stream grpc.ServerStream) Source {
	s, _ := grpc.ServerTransportStreamFromContext(stream.Context()).(Source)
	return s
}

// intake has the source make the next message into m.
func (r *Receiver) intake(m *Message, a *Account) error {
	m.open(a)
	err := r.source.Receive(r.stream.Context(), &Intake{m: m, max: r.Max, pool: r.Pool})
	if err == nil && m.size > r.Max {
		err = tooLarge(m.size, r.Max)
	}
	if err != nil {
		m.Reset()
		return err
	}
	return nil
}
