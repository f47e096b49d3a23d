package server_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

// TestBodiesOfUnknownLengthEnd: what a reader skips is charged to nobody, so that
// only its size can end it.
func TestBodiesOfUnknownLengthEnd(t *testing.T) {
	g := start(t, setup{server: `
  limits: { max_message: 1MiB }`})
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	for _, part := range []string{`{"ignored":"`, strings.Repeat("x", 8<<20), `","inputs":[]}`} {
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	long := `{"ignored":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, c := range []struct {
		name, path, body string
		headers          []string
	}{
		{"inflated", "/v2/models/simple/infer", packed.String(), []string{"Content-Encoding", "gzip"}},
		{"generated", "/v2/models/tokens/generate", long, nil},
		{"a list", "/v2/repository/index", long, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, _ := g.web("bob", "POST", c.path, c.body, c.headers...)
			if status != 400 || !strings.Contains(body, "exceeds the maximum allowed size of 1048576 bytes") {
				t.Errorf("got %d %.200s", status, body)
			}
		})
	}
}
