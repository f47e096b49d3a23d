package inprocess

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/wire"
)

// errNotRead is what a handler gets that reads a source as if it were a message:
// a chain without the step that reads on an account.
var errNotRead = errors.New("in-process call: the request is read by wire.Receiver alone")

// call is the transport's part of a call: what grpc.SetHeader and wire.Receiver
// find in the handler's context.
type call struct {
	method string
	next   func() (any, error)
	end    func()

	mu      sync.Mutex
	header  metadata.MD
	trailer metadata.MD
	sent    bool
	started chan struct{} // closed when the header has been sent; nil on unary calls
}

var (
	_ grpc.ServerTransportStream = (*call)(nil)
	_ wire.Source                = (*call)(nil)
)

// Method is the full name of the method that is called.
func (c *call) Method() string { return c.method }

// SetHeader adds to what goes with the first answer.
func (c *call) SetHeader(md metadata.MD) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent {
		return status.Error(codes.Internal, "in-process call: the header has been sent")
	}
	c.header = metadata.Join(c.header, md)
	return nil
}

// SendHeader adds to the header and sends it.
func (c *call) SendHeader(md metadata.MD) error {
	if err := c.SetHeader(md); err != nil {
		return err
	}
	c.start()
	return nil
}

// WriteStatus ends the call from outside, as gRPC's streams can be ended: the
// handler's context ends, and so does what it reads. What the client is told is
// what the handler then returns.
func (c *call) WriteStatus(*status.Status) error {
	c.end()
	return nil
}

// start sends the header, if it has not been sent.
func (c *call) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sent && c.started != nil {
		close(c.started)
	}
	c.sent = true
}

// SetTrailer adds to what comes with the end.
func (c *call) SetTrailer(md metadata.MD) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trailer = metadata.Join(c.trailer, md)
	return nil
}

// Receive makes the next request's message. One that is a message already is
// charged and goes on by reference.
func (c *call) Receive(ctx context.Context, in *wire.Intake) error {
	request, err := c.next()
	if err != nil {
		return err
	}
	if source, ok := request.(wire.Source); ok {
		return source.Receive(ctx, in)
	}
	defer release(request)
	data, err := wire.Codec{}.Marshal(message(request))
	if err != nil {
		return err
	}
	if err := in.Charge(data.Len()); err != nil {
		data.Free()
		return err
	}
	for _, b := range data {
		in.Append(b)
	}
	return nil
}

// owned is a request that belongs to the call since its client has sent it.
type owned struct{ *wire.Message }

func release(request any) {
	if m, ok := request.(owned); ok {
		m.Free()
	}
}

func message(request any) any {
	if m, ok := request.(owned); ok {
		return m.Message
	}
	return request
}

// serverStream is the handler's side of a call.
type serverStream struct {
	*call
	ctx    context.Context //nolint:containedctx // a ServerStream is asked for its context by contract
	answer func(m any) error
}

var _ grpc.ServerStream = (*serverStream)(nil)

func newServerStream(ctx context.Context, method string) (*serverStream, context.CancelFunc) {
	s := &serverStream{call: &call{method: method}}
	var cancel context.CancelFunc
	s.ctx, cancel = serverContext(ctx, s.call)
	return s, cancel
}

// Context is the call's.
func (s *serverStream) Context() context.Context { return s.ctx }

// SetTrailer adds to what comes with the end.
func (s *serverStream) SetTrailer(md metadata.MD) { _ = s.call.SetTrailer(md) }

// SendMsg gives an answer to the client; m is still the handler's afterwards.
func (s *serverStream) SendMsg(m any) error {
	s.start()
	return s.answer(m)
}

// RecvMsg receives what is a message already; a source is read by
// [wire.Receiver].
func (s *serverStream) RecvMsg(m any) error {
	request, err := s.next()
	if err != nil {
		return err
	}
	if _, ok := request.(wire.Source); ok {
		return errNotRead
	}
	defer release(request)
	return pass(message(request), m)
}
