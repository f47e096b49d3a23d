package presidio_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/masking/presidio"
)

// service is an analyzer that answers as the test says.
func service(t *testing.T, handler http.HandlerFunc) *presidio.Client {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	c, err := presidio.New(masking.Presidio{URL: srv.URL + "/", Timeout: 5 * time.Second, Entities: []string{"PERSON"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAnalyze(t *testing.T) {
	var asked map[string]any
	c := service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/analyze" || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s of %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		}
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &asked); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, `[{"entity_type":"PERSON","start":3,"end":7,"score":0.85,"analysis_explanation":null,"recognition_metadata":{"x":1}}]`)
	})
	got, err := c.Analyze(t.Context(), "ask Jane")
	if err != nil {
		t.Fatal(err)
	}
	if want := []masking.Span{{Start: 3, End: 7, Entity: "PERSON", Score: 0.85}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if asked["text"] != "ask Jane" || asked["language"] != "en" || len(asked["entities"].([]any)) != 1 {
		t.Errorf("asked %v", asked)
	}
}

// TestFailures shows that no answer is no clean text, and that errors tell
// neither the text nor what the service wrote.
func TestFailures(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	}))
	defer elsewhere.Close()
	write := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"status", write(500, `{"error":"hidden words"}`), "status 500"},
		{"redirect", write(307, ""), "status 307"},
		{"not JSON", write(200, "hidden words"), "not what it should be"},
		{"another shape", write(200, `{"results":[]}`), "not what it should be"},
		{"impossible place", write(200, `[{"start":-1,"end":3}]`), "impossible place"},
		{"backwards", write(200, `[{"start":5,"end":3}]`), "impossible place"},
		{"too long", func(w http.ResponseWriter, _ *http.Request) {
			for range 6 << 10 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}, "longer than"},
		{"cut short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "[")
		}, "can't be reached"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spans, err := service(t, tt.handler).Analyze(t.Context(), "secret words")
			if err == nil || !strings.Contains(err.Error(), tt.want) || spans != nil {
				t.Fatalf("got %v and %v, want %q", spans, err, tt.want)
			}
			for _, leaked := range []string{"secret", "hidden", "http://", "127.0.0.1"} {
				if strings.Contains(err.Error(), leaked) {
					t.Errorf("the error holds %q: %v", leaked, err)
				}
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(release)
	c, err := presidio.New(masking.Presidio{URL: srv.URL, Timeout: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Analyze(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Analyze(ctx, "x"); err == nil {
		t.Error("a call that was given up was answered")
	}
}

func TestUnreachable(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	c, err := presidio.New(masking.Presidio{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Analyze(t.Context(), "x"); err == nil || strings.Contains(err.Error(), "http://") {
		t.Errorf("got %v", err)
	}
	if _, err := presidio.New(masking.Presidio{URL: "://"}); err == nil {
		t.Error("made a client of no URL")
	}
}
