package generate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	// maxRunning bounds the requests of one stream that run at a time; SendMsg
	// waits while so many do.
	maxRunning = 256
	// maxQueued bounds the answers of one stream that nobody has received yet; the
	// requests wait, and their connections with them.
	maxQueued = 16
)

// stream is one ModelStreamInfer. It behaves as gRPC's own: requests go in until
// CloseSend, answers come out until io.EOF, and the end of the context ends all
// of it. Each request has a goroutine, which the stream owns: it ends with the
// request or with the context.
type stream struct {
	ctx     context.Context //nolint:containedctx // the stream's own
	cancel  context.CancelCauseFunc
	backend *Backend
	account *wire.Account
	slots   chan struct{}
	answers chan []byte
	ended   bool // RecvMsg has said so

	mu         sync.Mutex
	running    int
	answered   bool // an answer was made
	halfClosed bool
}

var _ grpc.ClientStream = (*stream)(nil)

// NewStream opens a stream; no connection is made before a request needs one.
func (b *Backend) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	if method != inference.GRPCInferenceService_ModelStreamInfer_FullMethodName {
		return nil, b.missing(method)
	}
	ctx, cancel := b.begin(ctx)
	s := &stream{
		ctx: ctx, cancel: cancel, backend: b, account: wire.AccountFrom(ctx),
		slots: make(chan struct{}, maxRunning), answers: make(chan []byte, maxQueued),
	}
	return s, nil
}

// SendMsg starts one request. It waits while too many run, and is io.EOF when
// the stream is over, whose reason RecvMsg tells.
func (s *stream) SendMsg(m any) error {
	select {
	case s.slots <- struct{}{}:
	case <-s.ctx.Done():
		return io.EOF
	}
	s.mu.Lock()
	over := s.halfClosed || s.ctx.Err() != nil
	if !over {
		s.running++
	}
	s.mu.Unlock()
	if over {
		<-s.slots
		if s.ctx.Err() != nil {
			return io.EOF
		}
		return status.Error(codes.Internal, "SendMsg called after CloseSend")
	}
	j, err := s.backend.accept(m, s.account)
	go s.serve(j, err)
	return nil
}

// serve answers one request.
func (s *stream) serve(j *job, err error) {
	defer s.leave()
	defer j.free()
	if err == nil {
		err = caught(func() error { return s.backend.run(s.ctx, j, true, s.send) })
	}
	if err == nil || s.ctx.Err() != nil {
		return
	}
	if s.backend.opts.Replicated && backends.IsAway(err) && !s.hasAnswered() {
		s.cancel(err)
		return
	}
	e, own := access.AsError(err)
	switch st, said := status.FromError(err); {
	case !own && said: // in the server's words, which may quote a prompt
		s.backend.opts.Log.WarnContext(s.ctx, "a request of a stream failed",
			slog.String("backend", s.backend.Name()), slog.String("code", st.Code().String()))
	case !own || errors.Unwrap(err) != nil:
		s.backend.opts.Log.WarnContext(s.ctx, "a request of a stream failed",
			slog.String("backend", s.backend.Name()), slog.Any("error", err), slog.Any("cause", errors.Unwrap(err)))
	}
	if own {
		_ = s.send(failure(j.id, "", e.Message, e.Reason, true))
		return
	}
	text := "internal error; the gateway's log says more"
	if st, ok := status.FromError(err); ok {
		text = st.Message()
	}
	_ = s.send(failure(j.id, j.model, text, "", false))
}

// leave ends one request, and the answers after the last one.
func (s *stream) leave() {
	<-s.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	s.closeIfDone()
}

func (s *stream) closeIfDone() {
	if s.halfClosed && s.running == 0 {
		close(s.answers)
	}
}

func (s *stream) hasAnswered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered
}

// send queues one answer, or waits until there is room for it.
func (s *stream) send(answer []byte) error {
	s.mu.Lock()
	s.answered = true
	s.mu.Unlock()
	select {
	case s.answers <- answer:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// CloseSend says that no more requests come. Those that run go on.
func (s *stream) CloseSend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.halfClosed {
		s.halfClosed = true
		s.closeIfDone()
	}
	return nil
}

// RecvMsg receives the next answer. It is io.EOF after the last one when the
// stream was half-closed, and the context's error when that has ended.
func (s *stream) RecvMsg(m any) error {
	if s.ended {
		return io.EOF
	}
	select {
	case answer, more := <-s.answers:
		if !more {
			if s.ctx.Err() != nil { // the last requests may have ended for that
				return context.Cause(s.ctx)
			}
			s.ended = true
			s.cancel(nil)
			return io.EOF
		}
		return (wire.Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(answer)}, m)
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// Context is the stream's.
func (s *stream) Context() context.Context { return s.ctx }

// Header is empty: these servers send no metadata.
func (s *stream) Header() (metadata.MD, error) { return nil, nil } //nolint:nilnil // as gRPC's own where there is none

// Trailer is empty too.
func (s *stream) Trailer() metadata.MD { return nil }

// caught makes an error of a panic: one request must not end the process, and
// its goroutine is below no interceptor that recovers. What the panic said is
// not told, it may quote a prompt.
func caught(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			var pcs [1]uintptr
			frame, _ := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs[:])]).Next()
			err = fmt.Errorf("panic of type %T in %s:%d", p, frame.Function, frame.Line)
		}
	}()
	return f()
}
