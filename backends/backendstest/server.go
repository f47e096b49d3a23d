package backendstest

import (
	"context"
	"errors"
	"math"
	"net"
	"path"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// pipeSize is how much a connection in memory holds before a writer waits.
const pipeSize = 64 << 10

// Server is a running server. It is safe for concurrent use.
type Server struct {
	// Addr is what to dial: host:port, or for a server in memory a name that
	// only [Server.Dial] can reach.
	Addr string

	script   Script
	listener *listener
	dial     func(context.Context) (net.Conn, error)

	mu    sync.Mutex
	calls []*Call
	asked int
}

// Start starts a server in memory that does what the script says. It ends with
// the test.
func Start(t testing.TB, script Script) *Server {
	t.Helper()
	l := bufconn.Listen(pipeSize)
	s := serve(t, l, script)
	s.Addr, s.dial = "passthrough:///backendstest", l.DialContext
	return s
}

// Listen starts a server on a port of 127.0.0.1.
func Listen(t testing.TB, script Script) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, l, script)
	s.Addr = l.Addr().String()
	s.dial = func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr)
	}
	return s
}

func serve(t testing.TB, l net.Listener, script Script) *Server {
	t.Helper()
	s := &Server{script: script, listener: &listener{Listener: l, open: map[net.Conn]struct{}{}}}
	g := grpc.NewServer(
		grpc.ForceServerCodecV2(codec{}),
		grpc.UnknownServiceHandler(s.handle),
		grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Millisecond, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
		// Windows that do not grow: what a script has not read stays with who sent it.
		grpc.StaticStreamWindowSize(64<<10), grpc.StaticConnWindowSize(16<<20),
	)
	served := make(chan error, 1)
	go func() { served <- g.Serve(s.listener) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("backendstest: serve: %v", err)
		}
	})
	return s
}

// handle takes the steps of one call.
func (s *Server) handle(_ any, stream grpc.ServerStream) error {
	full, _ := grpc.MethodFromServerStream(stream)
	md, _ := metadata.FromIncomingContext(stream.Context())
	c := &Call{Method: path.Base(full), Path: full, Metadata: md.Copy(), server: s, stream: stream}
	s.note(c)
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.ended = true
	}()
	steps, ok := s.script[c.Method]
	if !ok {
		steps, ok = s.script[Any]
	}
	if !ok {
		return status.Error(codes.Unimplemented, "")
	}
	for _, step := range steps {
		if err := step(c); err != nil {
			return err
		}
	}
	return nil
}

// note keeps a call, unless it is a backend's own question what the server is,
// which comes when it likes.
func (s *Server) note(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(c.Metadata["sluice-asks"]) > 0 {
		s.asked++
		return
	}
	s.calls = append(s.calls, c)
}

// Asked is how often a backend has asked by itself what the server is.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Calls returns the calls that have come so far, in order, without the
// questions that [Server.Asked] counts.
func (s *Server) Calls() []*Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Call(nil), s.calls...)
}

// Dial connects to the server; the address is ignored, so that it can be given
// to grpc.WithContextDialer.
func (s *Server) Dial(ctx context.Context, _ string) (net.Conn, error) { return s.dial(ctx) }

// Conn returns a client of the server, without limits of size. It is closed
// with the test.
func (s *Server) Conn(t testing.TB, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///backendstest", append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(s.Dial),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
