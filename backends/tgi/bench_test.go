package tgi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/tgi"
)

// BenchmarkToken is what reading one token's event costs here, of streams that
// come as fast as they are read.
func BenchmarkToken(b *testing.B) {
	const tokens = 1000
	text := strings.Repeat(firstEvent, tokens-1) + lastEvent
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, text)
	}))
	defer listener.Close()
	client, err := generate.NewClient(generate.ClientOptions{Address: listener.URL})
	if err != nil {
		b.Fatal(err)
	}
	s := tgi.New(tgi.Options{Client: client})
	defer s.Close()
	b.ReportAllocs()
	for n := 0; n < b.N; n += tokens {
		chunks := 0
		err := s.Generate(b.Context(), &generate.Request{Prompt: "Hi", Stream: true, N: 1}, func(generate.Chunk) error { chunks++; return nil })
		if err != nil || chunks != tokens {
			b.Fatalf("%d chunks, %v", chunks, err)
		}
	}
}
