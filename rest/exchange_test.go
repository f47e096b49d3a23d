package rest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestAStreamMayBeSilent: between two events nothing is waited for, over HTTP/2
// neither, where a deadline ends a stream by itself.
func TestAStreamMayBeSilent(t *testing.T) {
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	x := newExchange(&Door{}, w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if _, err := x.Write([]byte("data: 1\n\n")); err != nil || w.until.IsZero() {
		t.Errorf("%v; a piece is written without a deadline", err)
	}
	if err := x.flush(); err != nil || !w.until.IsZero() {
		t.Errorf("%v; the deadline stays until %v", err, w.until)
	}
}

// deadlines is a response writer that knows its deadline.
type deadlines struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error { d.until = t; return nil }
