package vllm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// generating is a double that does f where it should generate.
func generating(t testing.TB, f http.HandlerFunc) *double {
	t.Helper()
	return &double{generatetest.Start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/completions" {
			f(w, r)
			return
		}
		serve(w, r)
	})}
}

// events begins a stream with these bytes.
func events(bytes ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, strings.Join(bytes, ""))
		w.(http.Flusher).Flush()
	}
}

func then(all ...http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, f := range all {
			f(w, r)
		}
	}
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func reset(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// flood writes text until nobody takes it any more, at most 1 GB.
func flood(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		block := []byte(strings.Repeat(text, 64<<10/len(text)))
		for range 1 << 30 / len(block) {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
}

func say(status int, header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if header != "" {
			w.Header().Set("Retry-After", header)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const (
	first  = "data: " + head + `"choices":[{"index":0,"text":"Hello","logprobs":null,"finish_reason":null}]}` + "\n\n"
	last   = "data: " + head + `"choices":[{"index":0,"text":"!","logprobs":null,"finish_reason":"stop"}]}` + "\n\n"
	done   = "data: [DONE]\n\n"
	midway = `data: {"error":{"message":"engine died","type":"InternalServerError","param":null,"code":500}}` + "\n\n"
)

const (
	away    = "the model's server is away; try again later"
	garbage = "the model's server answered what cannot be read; tell the platform team"
	cut     = "the model's server broke off its answer"
)

// faults are what a server can do wrong, and what a client of a stream sees then:
// the texts before, and the error that ends its request.
var faults = map[string]struct {
	server http.HandlerFunc
	texts  []string
	err    string
}{
	"resets before the first byte": {reset, nil, away},
	"resets after the header":      {then(events(), reset), nil, cut},
	"resets between tokens":        {then(events(first), reset), []string{"Hello"}, cut},
	"resets before DONE":           {then(events(first, last), reset), []string{"Hello"}, cut},
	"ends without an end":          {events(first), []string{"Hello"}, cut},
	"ends before DONE":             {events(first, last), []string{"Hello"}, cut},
	"DONE without an end":          {events(first, done), []string{"Hello"}, cut},
	"half an event":                {events(first, first[:30]), []string{"Hello"}, garbage},
	"an event without its end":     {events(first, strings.TrimSpace(last)), []string{"Hello"}, garbage},
	"garbage JSON":                 {events(first, "data: {\"choices\":[{\"index\":\n\n"), []string{"Hello"}, garbage},
	"other JSON":                   {events(first, "data: {\"choices\":5}\n\n"), []string{"Hello"}, garbage},
	"no JSON":                      {events(first, "data: hello\n\n"), []string{"Hello"}, garbage},
	"another sequence":             {events(strings.ReplaceAll(first, `"index":0`, `"index":1`)), nil, garbage},
	"a page in the stream":         {events(first, "<html>\n\n"), []string{"Hello"}, garbage},
	"no stream":                    {say(http.StatusOK, "", modelsJSON), nil, garbage},
	"1 GB in one line":             {then(events(first, "data: "), flood("x")), []string{"Hello"}, garbage},
	"1 GB of comments":             {then(events(first), flood(": x\n\n")), []string{"Hello"}, garbage},
	"1 GB in one event":            {then(events(first), flood("data: x\n")), []string{"Hello"}, garbage},
	"1 GB of an error":             {then(say(http.StatusInternalServerError, "", ""), flood("x")), nil, strings.Repeat("x", 4096) + " …"},
	"an error in mid-stream":       {events(first, midway, done), []string{"Hello"}, "engine died"},
	"an error as a text":           {events(first, "data: {\"error\":\"engine died\"}\n\n"), []string{"Hello"}, "engine died"},
	"an error of no words":         {events(first, "data: {\"error\":{}}\n\n"), []string{"Hello"}, "the model's server failed"},
	"overload":                     {say(http.StatusTooManyRequests, "3", `{"error":{"message":"overloaded"}}`), nil, "overloaded"},
	"not ready":                    {say(http.StatusServiceUnavailable, "", `{"error":{"message":"queue is full"}}`), nil, "queue is full"},
	"refused":                      {say(http.StatusBadRequest, "", `{"error":{"message":"max_tokens must be at least 1, got 0.","code":400}}`), nil, "max_tokens must be at least 1, got 0."},
	"our key is wrong":             {say(http.StatusUnauthorized, "", `{"error":"Unauthorized"}`), nil, "the model's server refuses the gateway's credential; tell the platform team"},
}

func TestFaultsOfAServer(t *testing.T) {
	for name, c := range faults {
		t.Run(name, func(t *testing.T) {
			d := generating(t, c.server)
			b := d.backend(t)
			answers, err := generatetest.Stream(t.Context(), t, b, generatetest.Ask(model, "7", map[string]any{"text_input": "x", "stream": true}))
			if err != nil || len(answers) != len(c.texts)+1 {
				t.Fatalf("%d answers (%+v), %v", len(answers), answers, err)
			}
			for i, text := range c.texts {
				if a := answers[i]; a.Text() != text || a.Final || a.Error != "" {
					t.Errorf("answer %d is %+v", i, a)
				}
			}
			if a := answers[len(c.texts)]; a.Error != c.err || !a.Final || a.ID != "7" {
				t.Errorf("the last answer is %+v, want %q", a, c.err)
			}
			// A connection that was used before may just have been idle for too long: one
			// that breaks before the first byte is tried anew, once.
			want := 1
			if len(c.texts) == 0 && c.err == away {
				want = 2
			}
			if n := len(d.To("/v1/completions")); n != want {
				t.Errorf("the server was asked %d times", n)
			}
		})
	}
}

// TestAServerThatHangs, before the first byte or between tokens, is waited for as
// long as the caller waits; then its connection is closed at once.
func TestAServerThatHangs(t *testing.T) {
	for name, c := range map[string]struct {
		server http.HandlerFunc
		texts  int
	}{
		"before the first byte": {hang, 0},
		"after the header":      {then(events(), hang), 0},
		"between tokens":        {then(events(first), hang), 1},
		"within an event":       {then(events(first, first[:40]), hang), 1},
	} {
		for _, how := range []string{"deadline", "cancelled"} {
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := generating(t, c.server)
					b := d.backend(t)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					want := context.DeadlineExceeded
					if how == "cancelled" {
						want = context.Canceled
						time.AfterFunc(30*time.Second, cancel)
					}
					answers, err := generatetest.Stream(ctx, t, b, generatetest.Ask(model, "7", map[string]any{"text_input": "x", "stream": true}))
					if !errors.Is(err, want) || len(answers) != c.texts {
						t.Errorf("%d answers, %v", len(answers), err)
					}
					synctest.Wait() // not a moment passes
					if d.Open() > 1 {
						t.Errorf("%d connections are open; one may be idle", d.Open())
					}
					_, err = generatetest.Infer(ctx, t, b, generatetest.Ask(model, "7", map[string]any{"text_input": "x"}))
					if !errors.Is(err, want) {
						t.Errorf("unary: %v", err)
					}
				})
			})
		}
	}
}

// TestAClientThatGoesAwayEndsTheGeneration at the server, over real connections.
func TestAClientThatGoesAwayEndsTheGeneration(t *testing.T) {
	for _, stream := range []bool{true, false} {
		t.Run(fmt.Sprint("stream ", stream), func(t *testing.T) {
			ended := make(chan struct{})
			began := make(chan struct{})
			d := generating(t, func(_ http.ResponseWriter, r *http.Request) {
				close(began)
				<-r.Context().Done()
				close(ended)
			})
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan error, 1)
			b := d.backend(t)
			go func() {
				_, err := generatetest.Stream(ctx, t, b, generatetest.Ask(model, "7", map[string]any{"text_input": "x", "stream": stream}))
				over <- err
			}()
			<-began
			cancel()
			if err := <-over; !errors.Is(err, context.Canceled) {
				t.Errorf("the stream ended with %v", err)
			}
			<-ended
		})
	}
}

// TestAServerThatFlaps answers every request that comes while it is up; what comes
// while it is down is told so.
func TestAServerThatFlaps(t *testing.T) {
	var n atomic.Int32
	d := generating(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 0 {
			say(http.StatusServiceUnavailable, "", `{"error":{"message":"down"}}`)(w, r)
			return
		}
		events(first, last, done)(w, r)
	})
	b := d.backend(t)
	for i := range 6 {
		answers, err := generatetest.Stream(t.Context(), t, b, generatetest.Ask(model, "7", map[string]any{"text_input": "x", "stream": true}))
		if err != nil || len(answers) == 0 {
			t.Fatalf("%d answers, %v", len(answers), err)
		}
		if a := answers[len(answers)-1]; i%2 == 0 && a.Text() != "!" || i%2 == 1 && a.Error != "down" {
			t.Errorf("request %d ends with %+v", i, a)
		}
	}
}

// TestAServerThatSpeaksNoHTTP.
func TestAServerThatSpeaksNoHTTP(t *testing.T) {
	for name, accept := range map[string]func(net.Conn){
		"says something else": func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1))
			_, _ = io.WriteString(c, "220 mail.example.com ESMTP\r\n")
		},
		"hangs up": func(c net.Conn) { _ = c.Close() },
		"a header for ever": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nx: ")
			for range 1 << 20 {
				if _, err := io.WriteString(c, strings.Repeat("x", 1<<10)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dial := backendstest.Raw(t, accept)
			d := &double{&generatetest.Double{Dial: func(ctx context.Context, _, address string) (net.Conn, error) { return dial(ctx, address) }}}
			_, err := pb.NewGRPCInferenceServiceClient(d.backend(t)).ModelConfig(t.Context(), &pb.ModelConfigRequest{Name: model})
			if err == nil || err.Error() != away {
				t.Errorf("got %v", err)
			}
		})
	}
}
