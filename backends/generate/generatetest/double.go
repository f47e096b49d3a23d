// Package generatetest has HTTP servers in memory for the tests of backends that
// speak HTTP, and the ways in which a real server cannot be made to fail on
// demand. It runs under testing/synctest too.
package generatetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"google.golang.org/grpc/test/bufconn"
)

// pipeSize is how much a connection holds before a writer waits.
const pipeSize = 64 << 10

// Dial connects to a server in memory, whatever the address.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Request is one request that a double got.
type Request struct {
	Method, Path string
	Header       http.Header
	Body         string
}

// Double is an HTTP server in memory that keeps what it was asked.
type Double struct {
	Dial Dial

	mu       sync.Mutex
	requests []Request
	open     int // connections
}

// Start serves handler until the test ends. The body of a request is read before
// the handler is called, which can read it again.
func Start(t testing.TB, handler http.HandlerFunc) *Double {
	t.Helper()
	l := bufconn.Listen(pipeSize)
	d := &Double{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.DialContext(ctx) }}
	s := &http.Server{ //nolint:gosec // in memory
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			d.mu.Lock()
			d.requests = append(d.requests, Request{r.Method, r.URL.Path, r.Header.Clone(), string(body)})
			d.mu.Unlock()
			handler(w, r)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			d.mu.Lock()
			defer d.mu.Unlock()
			switch state {
			case http.StateNew:
				d.open++
			case http.StateClosed, http.StateHijacked:
				d.open--
			}
		},
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		_ = l.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("generatetest: serve: %v", err)
		}
	})
	return d
}

// Requests returns what came so far, in order.
func (d *Double) Requests() []Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Request(nil), d.requests...)
}

// To returns the requests of one path.
func (d *Double) To(path string) []Request {
	var of []Request
	for _, r := range d.Requests() {
		if r.Path == path {
			of = append(of, r)
		}
	}
	return of
}

// Open is how many connections there are.
func (d *Double) Open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}
