package postgres_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// way is a network between a store and its server that can lose answers.
type way struct {
	l  net.Listener
	to string

	mu    sync.Mutex
	words []string // a request with one of these is not answered, and breaks the connection
	open  sync.WaitGroup
}

func newWay(t *testing.T, socket string) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{l: l, to: socket}
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
		_ = l.Close()
		w.open.Wait()
	})
	return w
}

func (w *way) port(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(w.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (w *way) deafen(words ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.words = words
}

func (w *way) hear() { w.deafen() }

func (w *way) loses(request []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, word := range w.words {
		if bytes.Contains(bytes.ToUpper(request), []byte(word)) {
			return true
		}
	}
	return false
}

// carry passes requests on, and answers back until one is to be lost.
func (w *way) carry(c net.Conn) {
	defer func() { _ = c.Close() }()
	s, err := net.Dial("unix", w.to)
	if err != nil {
		return
	}
	defer func() { _ = s.Close() }()
	w.open.Go(func() {
		_, _ = io.Copy(c, s)
		_ = c.Close()
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if w.loses(buf[:n]) {
			_ = c.Close() // before the server hears of it, so that no answer comes back
			_, _ = s.Write(buf[:n])
			_ = s.(*net.UnixConn).CloseWrite() // it reads the request, then the end
			_, _ = io.Copy(io.Discard, s)
			return
		}
		if _, err := s.Write(buf[:n]); err != nil {
			return
		}
	}
}
