package inprocess

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/wire"
)

// Stream is the client's side of a stream. One goroutine may send while
// another receives.
type Stream struct {
	ctx     context.Context //nolint:containedctx // a ClientStream is asked for its context by contract
	cancel  context.CancelFunc
	call    *call
	closing sync.Once

	requests chan any // one at a time; closed by CloseSend
	answers  *queue
	over     chan struct{} // closed when the handler has returned
	err      error         // what it returned, once over
}

var _ grpc.ClientStream = (*Stream)(nil)

// NewStream opens a stream whose handler runs on a goroutine of its own until it
// returns. Whoever opens one receives until there is an error, or calls
// [Stream.Close].
func (c *Conn) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.Open(ctx, method)
}

// Open is NewStream for who wants the stream as it is.
func (c *Conn) Open(ctx context.Context, method string) (*Stream, error) {
	handler, err := c.handler(ctx, method)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &Stream{ctx: ctx, cancel: cancel, requests: make(chan any), answers: newQueue(), over: make(chan struct{})}
	server, end := newServerStream(ctx, method)
	s.call = server.call
	s.call.started = make(chan struct{})
	server.next = func() (any, error) { return s.next(server.ctx) }
	server.answer = func(m any) error { return s.put(server.ctx, m) }
	c.running.Go(func() {
		defer end()
		s.err = guarded(handler, server)
		s.call.start()
		close(s.over)
	})
	return s, nil
}

// guarded runs a handler to its end: io.EOF, or its error. A panic that the chain
// has not caught ends the stream and not the process, whose goroutine this is not
// to take along; what it says may quote a message, and is not passed on.
func guarded(handler grpc.StreamHandler, server *serverStream) (err error) {
	err = status.Error(codes.Internal, "in-process call: the handler panicked")
	defer func() { _ = recover() }()
	if err = handler(nil, server); err == nil {
		err = io.EOF
	}
	return err
}

// next is the handler's next request.
func (s *Stream) next(ctx context.Context) (any, error) {
	select {
	case request, open := <-s.requests:
		if !open {
			return nil, io.EOF
		}
		return request, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// put gives the client a message of its own.
func (s *Stream) put(ctx context.Context, m any) error {
	answer := new(wire.Message)
	if err := pass(m, answer); err != nil {
		return err
	}
	if err := s.answers.put(ctx, answer); err != nil {
		answer.Free()
		return err
	}
	return nil
}

// SendMsg gives the handler a request: a [wire.Source], which is the handler's
// from now on, or a message, which is still the caller's. io.EOF says that the
// handler has ended; RecvMsg tells why.
func (s *Stream) SendMsg(m any) error {
	request := m
	if _, ok := m.(wire.Source); !ok {
		taken := new(wire.Message)
		if err := pass(m, taken); err != nil {
			return err
		}
		request = owned{taken}
	}
	select {
	case s.requests <- request:
		return nil
	case <-s.over:
	case <-s.ctx.Done():
	}
	release(request)
	return io.EOF
}

// CloseSend tells the handler that there are no more requests. It is called by
// who sends, and once counts.
func (s *Stream) CloseSend() error {
	s.closing.Do(func() { close(s.requests) })
	return nil
}

// RecvMsg receives the next answer, by reference into a *wire.Message. After
// the last one the error is io.EOF, or the status that the handler ended with.
func (s *Stream) RecvMsg(m any) error {
	answer, err := s.Next()
	if err != nil {
		return err
	}
	if into, ok := m.(*wire.Message); ok {
		return into.Take(answer)
	}
	defer answer.Free()
	return pass(answer, m)
}

// Next is RecvMsg for who takes the answers' messages as they are, to free them.
func (s *Stream) Next() (*wire.Message, error) {
	for {
		if m := s.answers.take(); m != nil {
			return m, nil
		}
		select {
		case <-s.answers.arrived:
		case <-s.over:
			if m := s.answers.take(); m != nil {
				return m, nil
			}
			return nil, s.err
		}
	}
}

// Ready returns the next answer if it has come already, else nil.
func (s *Stream) Ready() *wire.Message { return s.answers.take() }

// Header waits for the handler's header.
func (s *Stream) Header() (metadata.MD, error) {
	select {
	case <-s.call.started:
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
	s.call.mu.Lock()
	defer s.call.mu.Unlock()
	return metadata.Join(s.call.header), nil
}

// Trailer is what came with the end, once RecvMsg has returned an error.
func (s *Stream) Trailer() metadata.MD {
	s.call.mu.Lock()
	defer s.call.mu.Unlock()
	return metadata.Join(s.call.trailer)
}

// Context is the client's own.
func (s *Stream) Context() context.Context { return s.ctx }

// Close ends the call, returns when its handler has, and frees the answers that
// nobody has taken. It may be called after the end too.
func (s *Stream) Close() {
	s.cancel()
	<-s.over
	for m := s.answers.take(); m != nil; m = s.answers.take() {
		m.Free()
	}
}
