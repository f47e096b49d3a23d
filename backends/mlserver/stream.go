package mlserver

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// maxOpen bounds how many requests of one stream run at once. A further one
// waits, and with it the reading of the client's stream.
const maxOpen = 64

var streamDesc = &grpc.StreamDesc{StreamName: "ModelStreamInfer", ClientStreams: true, ServerStreams: true}

// NewStream opens a stream of requests, each of which gets a stream to the
// server of its own when it is sent. Their answers come in no order but that of
// one request's. A request that fails is answered with an error message, and
// the others go on.
func (b *Backend) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if method != inference.GRPCInferenceService_ModelStreamInfer_FullMethodName {
		return nil, connection.Unsupported("stream of that name")
	}
	s := &stream{backend: b, caller: ctx, opts: opts, answers: make(chan *wire.Message), room: make(chan struct{}, maxOpen), open: 1}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.unclose = context.AfterFunc(b.closing, s.cancel)
	return s, nil
}

// stream is many streams to the server behind one of the client's. One
// goroutine sends on it and one receives, as on any stream of gRPC; each request
// has a goroutine, which ends with the request or with the caller's context.
type stream struct {
	backend *Backend
	caller  context.Context //nolint:containedctx // the stream's own
	ctx     context.Context //nolint:containedctx // caller's, which ends with the backend too
	cancel  context.CancelFunc
	unclose func() bool
	opts    []grpc.CallOption
	answers chan *wire.Message // closed after the last; nothing waits in it
	room    chan struct{}      // one token for each request that is open

	mu     sync.Mutex
	open   int // requests, and one more until CloseSend
	closed bool
}

// SendMsg sends a request. What becomes of it comes as its answers; the error is
// that of a message which is no request, or of the stream's end.
func (s *stream) SendMsg(m any) error {
	message, made, err := connection.Requested(m)
	if err != nil {
		return err
	}
	if made {
		defer message.Free()
	}
	view, err := message.InferRequest()
	if err != nil {
		return err
	}
	select {
	case s.room <- struct{}{}:
	case <-s.ctx.Done():
	}
	if s.ctx.Err() != nil {
		return io.EOF // the reason is what is received, as gRPC has it
	}
	s.begin()
	r := &request{
		stream: s, id: view.ID().String(), model: view.ModelName().String(), version: view.ModelVersion().String(), final: asksForFinal(view),
	}
	var up grpc.ClientStream
	if refused := connection.Check(view); refused != nil {
		err = refused
	} else {
		up, err = s.backend.Conn.NewStream(s.ctx, streamDesc, inference.GRPCInferenceService_ModelStreamInfer_FullMethodName, s.opts...)
	}
	if err == nil {
		// A failed send says io.EOF: the reason is what is received.
		if err = up.SendMsg(m); err == nil || errors.Is(err, io.EOF) {
			err = up.CloseSend()
		}
	}
	go r.carry(up, err)
	return nil
}

// CloseSend says that no request follows.
func (s *stream) CloseSend() error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if !was {
		s.end()
	}
	return nil
}

// RecvMsg returns io.EOF when every request has ended and none can follow.
func (s *stream) RecvMsg(m any) error {
	select {
	case answer, more := <-s.answers:
		if !more {
			return s.over(io.EOF)
		}
		return give(answer, m)
	case <-s.ctx.Done():
		return s.over(backends.Away(backends.Unsent(errClosed)))
	}
}

var errClosed = errors.New("the backend is closed")

// over is why the stream is over: for its caller's own reason, or for err.
func (s *stream) over(err error) error {
	reason := s.caller.Err()
	s.unclose()
	s.cancel()
	if reason != nil {
		return reason
	}
	return err
}

// give moves an answer to where it is received into.
func give(answer *wire.Message, m any) error {
	switch m := m.(type) {
	case *wire.Message:
		return m.Take(answer)
	case proto.Message:
		defer answer.Free()
		return answer.Unmarshal(m)
	}
	answer.Free()
	return errors.New("an answer cannot be received into that")
}

// put hands an answer to whoever receives. It frees it if nobody will.
func (s *stream) put(answer *wire.Message) bool {
	select {
	case s.answers <- answer:
		return true
	case <-s.ctx.Done():
		answer.Free()
		return false
	}
}

func (s *stream) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open--; s.open == 0 {
		close(s.answers)
	}
}

// Context is the caller's.
func (s *stream) Context() context.Context { return s.caller }

// Header is empty: metadata are of the server's streams, of which there are many.
func (s *stream) Header() (metadata.MD, error) { return nil, nil }

// Trailer is empty, as Header is.
func (s *stream) Trailer() metadata.MD { return nil }

// refusal is the access.Error among err's causes, if there is one.
func refusal(err error) *access.Error {
	e, _ := access.AsError(err)
	return e
}
