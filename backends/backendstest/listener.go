package backendstest

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc/test/bufconn"
)

// cutMark is a message that is never sent: where it would be, the connection is
// closed. gRPC writes behind the back of who sends, so that a connection
// closed at once would lose what was sent before.
var cutMark = []byte("\x00backendstest: cut the connection here\x00")

// listener keeps its connections, so that they can be cut.
type listener struct {
	net.Listener
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// connection takes itself off its listener's list.
type connection struct {
	net.Conn
	listener *listener
	tail     []byte // the last bytes written, which a mark may begin in
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = struct{}{}
	return &connection{Conn: c, listener: l}, nil
}

// Write writes p up to the mark, if that is in it. One goroutine writes.
func (c *connection) Write(p []byte) (int, error) {
	seen := append(c.tail, p...)
	if i := bytes.Index(seen, cutMark); i >= 0 {
		_, _ = c.Conn.Write(p[:max(i-len(c.tail), 0)])
		c.listener.reset()
		return 0, net.ErrClosed
	}
	c.tail = bytes.Clone(seen[max(len(seen)-len(cutMark)+1, 0):])
	return c.Conn.Write(p)
}

func (c *connection) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c.Conn)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// reset closes every connection: over TCP with a reset, in memory with an end
// of file.
func (l *listener) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // close then resets
		}
		_ = c.Close()
	}
}

// Raw starts a server in memory that gives each connection to accept, which
// may do with it what it likes, such as never to answer; the connection is
// closed when accept returns, and when the test ends. It returns the function
// that connects, for grpc.WithContextDialer.
func Raw(t testing.TB, accept func(net.Conn)) func(context.Context, string) (net.Conn, error) {
	t.Helper()
	l := &listener{Listener: bufconn.Listen(pipeSize), open: map[net.Conn]struct{}{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = c.Close() }()
				accept(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Listener.Close()
		l.reset()
		running.Wait()
	})
	memory, _ := l.Listener.(*bufconn.Listener)
	return func(ctx context.Context, _ string) (net.Conn, error) { return memory.DialContext(ctx) }
}
