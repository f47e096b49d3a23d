package wire

import (
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Request is the message of a unary call: read when somebody asks for it, at
// most once, so that what is decided on headers is decided before. It belongs
// to its call, one goroutine at a time.
type Request struct {
	stream   grpc.ServerStream
	receiver Receiver
	message  Message
	read     bool
	control  proto.Message
}

// ErrUnread is what is answered for a message that nobody has read: a mistake
// in the order of the interceptors.
var ErrUnread = errors.New("wire: the request has not been read")

// NewRequest returns the request that stream will bring.
func NewRequest(stream grpc.ServerStream) *Request { return &Request{stream: stream} }

// RequestOf returns a request that was never on the wire: m is its decoded
// message.
func RequestOf(m proto.Message) *Request { return &Request{control: m} }

// Read reads the message on an account. Its errors are those of
// [Receiver.RecvOnly].
func (r *Request) Read(a *Account) error { return r.ReadUpTo(a, MaxMessage) }

// ReadUpTo is Read for messages of at most so many bytes.
func (r *Request) ReadUpTo(a *Account, most int) error {
	if r.read {
		return nil
	}
	r.receiver = receiverOf(r.stream)
	r.receiver.Max = most
	if err := r.receiver.RecvOnly(&r.message, a); err != nil {
		return err
	}
	r.read = true
	return nil
}

// Skip takes the message for an empty one and leaves it unread, for RPCs
// whose request says nothing.
func (r *Request) Skip() { r.read = true }

// Message is the message that was read.
func (r *Request) Message() (*Message, error) {
	if !r.read {
		return nil, ErrUnread
	}
	return &r.message, nil
}

// Decoded is the message as [Control] has decoded it; nil if nobody has asked for
// that yet.
func (r *Request) Decoded() proto.Message { return r.control }

// Free frees the message, if there is one.
func (r *Request) Free() {
	if r.read {
		r.message.Free()
	}
}

// Control decodes the message of a control RPC, once: everybody who asks gets
// the same decoded message, so that what is decided on is what is sent.
func Control[M any, P interface {
	*M
	proto.Message
}](r *Request) (P, error) {
	if have, ok := r.control.(P); ok {
		return have, nil
	}
	m, err := r.Message()
	if err != nil {
		return nil, err
	}
	decoded := P(new(M))
	if err := m.Unmarshal(decoded); err != nil {
		return nil, err
	}
	r.control = decoded
	return decoded, nil
}
