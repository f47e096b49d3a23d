package postgres_test

import (
	"net"
	"net/url"
	"sync"
	"testing"
)

// way is a network between a log and its server that can swallow everything, or break.
type way struct {
	t  *testing.T
	l  net.Listener
	to string

	mu   sync.Mutex
	gate chan struct{} // nil: open
	open sync.WaitGroup
	all  []net.Conn
	left int // how many bytes it carries to the server before it breaks; 0 is for ever
}

func newWay(t *testing.T, socket string) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &way{t: t, l: l, to: socket}
	w.open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.open.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		w.unblock()
		_ = l.Close()
		w.mu.Lock()
		for _, c := range w.all {
			_ = c.Close()
		}
		w.mu.Unlock()
		w.open.Wait()
	})
	return w
}

// url is a connection string through the way.
func (w *way) url(direct string) string {
	u, err := url.Parse(direct)
	must(w.t, err)
	_, port, err := net.SplitHostPort(w.l.Addr().String())
	must(w.t, err)
	u.RawQuery = url.Values{"host": {"127.0.0.1"}, "port": {port}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

func (w *way) block() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate = make(chan struct{})
}

func (w *way) unblock() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gate != nil {
		close(w.gate)
		w.gate = nil
	}
}

// breakAfter breaks the connection that carries the byte after so many.
func (w *way) breakAfter(bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = bytes
}

// passes is how many of some bytes to the server are carried, and whether it breaks then.
func (w *way) passes(n int) (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left == 0 || n < w.left {
		w.left = max(w.left-n, 0)
		return n, false
	}
	n, w.left = w.left, 0
	return n, true
}

func (w *way) wait() {
	w.mu.Lock()
	gate := w.gate
	w.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

func (w *way) carry(c net.Conn) {
	s, err := net.Dial("unix", w.to)
	if err != nil {
		_ = c.Close()
		return
	}
	w.mu.Lock()
	w.all = append(w.all, c, s)
	w.mu.Unlock()
	both := func(to, from net.Conn) {
		broken := false
		defer func() { _, _ = to.Close(), from.Close() }()
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if w.wait(); err != nil {
				return
			}
			if to == s {
				n, broken = w.passes(n)
			}
			if _, err := to.Write(buf[:n]); err != nil || broken {
				return
			}
		}
	}
	w.open.Go(func() { both(c, s) })
	both(s, c)
}
