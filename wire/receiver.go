package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
)

const (
	// MaxMessage is the greatest message that gRPC's clients send or expect,
	// before and after inflating it, in bytes.
	MaxMessage = math.MaxInt32
	// readStep is how much is charged and read at a time: what a caller has
	// announced but not sent holds no more of the budget than this.
	readStep = 1 << 20
	// smallBuffers is the average size under which received buffers are joined:
	// DATA frames of a byte each cost much more memory than they carry.
	smallBuffers = 2 << 10

	prefixLen = 5 // compressed flag and length, before each message
)

// transport is what grpc-go's server streams can do beyond the public
// interface. A test shows that the grpc-go in use still can.
type transport interface {
	ReadMessageHeader(header []byte) error
	Read(n int) (mem.BufferSlice, error)
	RecvCompress() string
}

// Receiver reads the messages of a server stream itself, frame by frame, so
// that each is charged before it is in memory: grpc-go's RecvMsg reads and
// inflates first. On a stream that did not come over gRPC's transport it asks
// the stream's [Source]; where there is none either it is RecvMsg, and the
// message is charged after.
//
// It is for one goroutine, as RecvMsg is, and takes RecvMsg's place on its
// stream: whoever reads with both gets half-messages.
type Receiver struct {
	stream grpc.ServerStream
	from   transport // nil without gRPC's transport
	source Source    // nil unless the messages are made elsewhere
	// Pool is where inflated messages' buffers come from.
	Pool mem.BufferPool
	// Max is the size of the greatest message, before and after inflating it.
	Max int
}

// NewReceiver returns a receiver of stream's messages.
func NewReceiver(stream grpc.ServerStream) *Receiver {
	r := receiverOf(stream)
	return &r
}

func receiverOf(stream grpc.ServerStream) Receiver {
	from, _ := grpc.ServerTransportStreamFromContext(stream.Context()).(transport)
	return Receiver{stream: stream, from: from, source: sourceOf(stream), Pool: mem.DefaultBufferPool(), Max: MaxMessage}
}

// ReadsTransport tells whether the receiver reads frames itself. Where it does
// not, gRPC's own limits are the only ones before a message is in memory.
func (r *Receiver) ReadsTransport() bool { return r.from != nil }

// Recv reads the next message into m, which must be empty, and charges it to
// a. The errors are io.EOF after the last message, *access.Error where the
// budget refuses, and else the status errors that grpc-go's RecvMsg returns.
// After an error m is empty and holds nothing; after any but io.EOF the stream is of no
// further use.
func (r *Receiver) Recv(m *Message, a *Account) error {
	if err := m.mustBeEmpty(); err != nil {
		return err
	}
	switch {
	case r.source != nil:
		return r.intake(m, a)
	case r.from == nil:
		return r.recvMsg(m, a)
	}
	m.open(a)
	if err := r.recv(m, a); err != nil {
		m.Reset()
		return rpcError(err)
	}
	return nil
}

// RecvOnly is Recv for calls of one message: it is an Internal status if there
// is none or another one, as grpc-go answers.
func (r *Receiver) RecvOnly(m *Message, a *Account) error {
	switch err := r.Recv(m, a); {
	case err == io.EOF:
		return status.Error(codes.Internal, "cardinality violation: received no request message from non-client-streaming RPC")
	case err != nil || r.from == nil:
		return err
	}
	var prefix [prefixLen]byte
	err := r.from.ReadMessageHeader(prefix[:])
	if err == io.EOF {
		return nil
	}
	m.Reset()
	if err != nil {
		return rpcError(err)
	}
	return status.Error(codes.Internal, "cardinality violation: received multiple request messages for non-client-streaming RPC")
}

// recvMsg receives where there is no transport to read from.
func (r *Receiver) recvMsg(m *Message, a *Account) error {
	if err := r.stream.RecvMsg(m); err != nil {
		return err
	}
	if err := m.Charge(a); err != nil {
		m.Reset()
		return err
	}
	return nil
}

// recv reads one message into m, which has an open charge.
func (r *Receiver) recv(m *Message, a *Account) error {
	var prefix [prefixLen]byte
	if err := r.from.ReadMessageHeader(prefix[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(prefix[1:])
	if int64(length) > int64(r.Max) {
		return tooLarge(int(length), r.Max)
	}
	n := int(length)
	if err := a.fits(n); err != nil {
		return err
	}
	switch name := r.from.RecvCompress(); {
	case prefix[0] == 0:
		return r.plain(m, n)
	case prefix[0] != 1:
		return status.Errorf(codes.Internal, "grpc: received unexpected payload format %d", prefix[0])
	case name == "" || name == encoding.Identity:
		return status.Error(codes.Internal, "grpc: compressed flag set with identity or empty encoding")
	default:
		return r.inflate(m, a, n, name)
	}
}

func tooLarge(size, most int) error {
	return status.Errorf(codes.ResourceExhausted, "grpc: received message larger than max (%d vs. %d)", size, most)
}

// plain reads n bytes into m.
func (r *Receiver) plain(m *Message, n int) error {
	for left := n; left > 0; {
		step := min(left, readStep)
		if err := m.charge.add(step); err != nil {
			return err
		}
		bufs, err := r.read(step)
		if err != nil {
			return err
		}
		if m.bufs == nil {
			m.bufs = bufs
		} else {
			m.bufs = append(m.bufs, bufs...)
		}
		left -= step
		m.size += step
	}
	return nil
}

// read reads n bytes of a message from the transport; an end before them is
// io.ErrUnexpectedEOF.
func (r *Receiver) read(n int) (mem.BufferSlice, error) {
	bufs, err := r.from.Read(n)
	if err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil || len(bufs) < 2 || n/len(bufs) >= smallBuffers {
		return bufs, err
	}
	joined := bufs.MaterializeToBuffer(r.Pool)
	bufs.Free()
	return mem.BufferSlice{joined}, nil
}

// rpcError makes a status of what the transport says, as grpc-go does.
func rpcError(err error) error {
	switch {
	case err == io.EOF:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return status.Error(codes.Internal, io.ErrUnexpectedEOF.Error())
	}
	if _, ok := access.AsError(err); ok {
		return err
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if st := status.FromContextError(err); st.Code() != codes.Unknown {
		return st.Err()
	}
	return status.Error(codes.Unavailable, err.Error())
}
