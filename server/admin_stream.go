package server

import (
	"io"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors"
)

// consoleRead is how long a request may take to arrive once the chain wants it.
const consoleRead = 30 * time.Second

type bodyKey struct{}

// patientBody is a request's body of which nothing is read before it is asked for.
type patientBody struct {
	from    io.ReadCloser
	control *http.ResponseController

	asking, closing sync.Once
	asked, closed   chan struct{}
}

// ask lets the reading begin.
func (b *patientBody) ask() {
	b.asking.Do(func() {
		_ = b.control.SetReadDeadline(time.Now().Add(consoleRead))
		close(b.asked)
	})
}

// Read waits until the body is asked for.
func (b *patientBody) Read(p []byte) (int, error) {
	select {
	case <-b.asked:
	case <-b.closed:
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.from.Read(p)
	if err != nil {
		_ = b.control.SetReadDeadline(time.Time{}) // it was for the body; an answer may take longer
	}
	return n, err
}

// Close ends a Read that waits.
func (b *patientBody) Close() error {
	b.closing.Do(func() { close(b.closed) })
	return b.from.Close()
}

// asked wraps a handler of the console's gRPC, so that reading a message asks for the
// body, and the caller's address tells which connection he is on.
func asked(handler grpc.StreamHandler) grpc.StreamHandler {
	return func(srv any, ss grpc.ServerStream) error {
		ctx := ss.Context()
		stream, ok := grpc.ServerTransportStreamFromContext(ctx).(transportStream)
		body, _ := ctx.Value(bodyKey{}).(*patientBody)
		if !ok || body == nil {
			return interceptors.ToStatus(interceptors.ErrInternal)
		}
		if stream.RecvCompress() != "" {
			_ = grpc.SetSendCompressor(ctx, encoding.Identity) // as the other doors answer
		}
		if addr := access.PeerFrom(ctx); addr != nil {
			ctx = peer.NewContext(ctx, &peer.Peer{Addr: addr})
		}
		ctx = grpc.NewContextWithServerTransportStream(ctx, &askingStream{stream, body})
		return handler(srv, interceptors.WithContext(ss, ctx))
	}
}

// transportStream is what package wire reads messages through; grpc-go's streams can
// do it, those of its handler for net/http too.
type transportStream interface {
	grpc.ServerTransportStream
	ReadMessageHeader(header []byte) error
	Read(n int) (mem.BufferSlice, error)
	RecvCompress() string
}

// askingStream asks for the body when the first message is read. It has nothing else
// of grpc-go's stream: that could be ended from outside, which may wait for a slow
// reader here, while who ends a session must not.
type askingStream struct {
	transportStream
	body *patientBody
}

// ReadMessageHeader reads the next message's length.
func (s *askingStream) ReadMessageHeader(header []byte) error {
	s.body.ask()
	return s.transportStream.ReadMessageHeader(header)
}
