package tgi_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/tgi"
)

const (
	firstEvent = `data: {"index":1,"token":{"id":45,"text":"Than","logprob":-0.5,"special":false},"generated_text":null,"details":null}` + "\n\n"
	lastEvent  = `data: {"index":2,"token":{"id":2,"text":"</s>","logprob":-0.5,"special":true},"generated_text":"Than","details":{"finish_reason":"eos_token","generated_tokens":2,"seed":null,"input_length":2}}` + "\n\n"
)

// events answers with a stream of these bytes, and no end but its body's.
func events(text ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, part := range text {
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// then does one thing after another. The body is read first: net/http sees only
// then that a client leaves.
func then(handlers ...http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for _, h := range handlers {
			h(w, r)
		}
	}
}

// answers answers with a status, a body and headers.
func answers(code int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// reset closes the connection under the answer, with a reset.
func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// abort breaks the answer off: the end of its chunks is missing.
func abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// endless writes text until nobody reads it any more, or until bytes are written.
func endless(text string, bytes int64, written *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for written.Load() < bytes {
			n, err := io.WriteString(w, text)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
}

// words are the beginnings of what a caller is told.
const (
	brokenOff  = "the model's server broke off"
	unreadable = "the model's server answered what cannot be read"
	away       = "the model's server is away"
	credential = "the model's server refuses the gateway's credential"
)

func TestFaults(t *testing.T) {
	var written atomic.Int64
	const much = 1 << 30
	for name, c := range map[string]struct {
		serve  http.HandlerFunc
		code   codes.Code // of a server's own error; OK for Sluice's
		text   string
		chunks int
	}{
		"no events at all":             {events(), 0, brokenOff, 0},
		"an end before the last event": {events(firstEvent), 0, brokenOff, 1},
		"half an event":                {events(firstEvent, lastEvent[:40]), 0, unreadable, 1},
		"an event without its blank":   {events(firstEvent, strings.TrimSuffix(lastEvent, "\n\n")), 0, unreadable, 1},
		"[DONE], which TGI has not":    {events(firstEvent, "data: [DONE]\n\n"), 0, unreadable, 1},
		"broken off":                   {then(events(firstEvent), abort), 0, brokenOff, 1},
		"reset":                        {then(events(firstEvent), reset), 0, "the model's server", -1},
		"reset before the first byte":  {reset, 0, "the model's server", 0},
		"no JSON":                      {events("data: nonsense\n\n"), 0, unreadable, 0},
		"no token":                     {events("data: {}\n\n"), 0, unreadable, 0},
		"an array":                     {events("data: []\n\n"), 0, unreadable, 0},
		"HTML in the stream":           {events("<html>\n\n"), 0, unreadable, 0},
		"an end without details":       {events(strings.Replace(lastEvent, `"details":{"finish_reason":"eos_token","generated_tokens":2,"seed":null,"input_length":2}`, `"details":null`, 1)), 0, unreadable, 0},
		"an unknown reason":            {events(strings.Replace(lastEvent, "eos_token", "boredom", 1)), 0, unreadable, 0},
		"JSON instead of a stream":     {answers(200, `{"generated_text":"Than"}`, "Content-Type", "application/json"), 0, unreadable, 0},
		"1 GB in an event":             {then(events("data: "), endless(strings.Repeat("x", 1<<16), much, &written)), 0, unreadable, 0},
		"1 GB of comments":             {then(events(), endless(strings.Repeat(":\n\n", 1<<14), much, &written)), 0, unreadable, 0},
		"1 GB of header":               {endlessHeader(&written), 0, away, 0},
		"a redirect":                   {answers(307, "", "Location", "http://127.0.0.1:1/"), 0, unreadable, 0},
		"401 with an empty body":       {answers(401, ""), 0, credential, 0},
		"403 that quotes the key":      {answers(403, `{"error":"bad key hf_secret"}`), 0, credential, 0},
		"404 of another server":        {answers(404, `{"detail":"Not Found"}`), codes.Unimplemented, "does not serve that", 0},
		"413":                          {answers(413, "length limit exceeded"), codes.InvalidArgument, "length limit exceeded", 0},
		"415":                          {answers(415, "Expected request with"), codes.Internal, "Expected", 0},
		"422 in plain text":            {answers(422, "Failed to deserialize", "Content-Type", "text/plain"), codes.InvalidArgument, "Failed to deserialize", 0},
		"424":                          {answers(424, `{"error":"Request failed during generation: x","error_type":"generation"}`), codes.Internal, "Request failed during generation: x", 0},
		"429":                          {answers(429, `{"error":"Model is overloaded","error_type":"overloaded"}`), codes.ResourceExhausted, "Model is overloaded", 0},
		"500":                          {answers(500, `{"error":"Incomplete generation","error_type":"incomplete_generation"}`), codes.Internal, "Incomplete generation", 0},
		"503":                          {answers(503, `{"error":"unhealthy","error_type":"healthcheck"}`), codes.Unavailable, "unhealthy", 0},
		"503 of a proxy":               {answers(503, "<html>upstream 10.0.0.7</html>", "Content-Type", "text/html"), codes.Unavailable, "", 0},
		"an error in the stream":       {events(firstEvent, `data: {"error":"Incomplete generation stream","error_type":"incomplete_generation_stream"}`+"\n\n"), codes.Internal, "Incomplete generation stream", 1},
		"an error of a kind unknown":   {events(`data:{"error":"what","error_type":"new"}` + "\n\n"), codes.Internal, "what", 0},
		"an error long as a book":      {events(`data:{"error":"` + strings.Repeat("x", 1<<19) + `","error_type":"validation"}` + "\n\n"), codes.InvalidArgument, "xxx", 0},
	} {
		t.Run(name, func(t *testing.T) {
			written.Store(0)
			got, err := gather(t.Context(), connect(t, c.serve, tgi.Options{}), &generate.Request{Prompt: "Hi", Stream: true, N: 1})
			own, isOwn := access.AsError(err)
			switch {
			case c.code == codes.OK && (!isOwn || own.Kind != access.Unavailable || !strings.HasPrefix(own.Message, c.text)):
				t.Errorf("got %v, want %s", err, c.text)
			case c.code != codes.OK && (status.Code(err) != c.code || !strings.Contains(status.Convert(err).Message(), c.text) || len(err.Error()) > 8<<10):
				t.Errorf("got %.200v, want %v %s", err, c.code, c.text)
			}
			if c.chunks >= 0 && len(got.chunks) != c.chunks || got.finish != "" {
				t.Errorf("%d chunks, finish %q", len(got.chunks), got.finish)
			}
			if n := written.Load(); n >= much/2 {
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
}

// endlessHeader never comes to an end of its header.
func endlessHeader(written *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		text := "HTTP/1.1 200 OK\r\n"
		for err == nil && written.Load() < 1<<30 {
			var n int
			n, err = io.WriteString(conn, text)
			written.Add(int64(n))
			text = "X-More: " + strings.Repeat("x", 1<<12) + "\r\n"
		}
	}
}

// TestFaultsOfTheWhole: /generate's answer comes in one piece.
func TestFaultsOfTheWhole(t *testing.T) {
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		text  string
	}{
		"half":         {answers(200, `{"generated_text":"Th`), unreadable},
		"broken off":   {then(answers(200, `{"generated_text":"Th`), func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() }, abort), brokenOff},
		"no details":   {answers(200, `{"generated_text":"Than"}`), unreadable},
		"no text":      {answers(200, `{"details":{"finish_reason":"length"}}`), unreadable},
		"an array":     {answers(200, `[{"generated_text":"Than"}]`), unreadable},
		"two answers":  {answers(200, `{"generated_text":"Than","details":{"finish_reason":"length"}}{}`), unreadable},
		"no answer":    {answers(200, ""), unreadable},
		"no such info": {answers(204, ""), unreadable},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := gather(t.Context(), connect(t, c.serve, tgi.Options{}), &generate.Request{Prompt: "Hi", N: 1})
			if own, ok := access.AsError(err); !ok || own.Kind != access.Unavailable || !strings.HasPrefix(own.Message, c.text) {
				t.Errorf("got %v, want %s", err, c.text)
			}
		})
	}
}

// TestGoingAway: a server that hangs lets its caller go, and hears that the
// caller went.
func TestGoingAway(t *testing.T) {
	for name, first := range map[string]http.HandlerFunc{
		"before the first byte": func(http.ResponseWriter, *http.Request) {},
		"before the first":      events(""),
		"between tokens":        events(firstEvent),
		"within an event":       events(firstEvent, lastEvent[:30]),
	} {
		for _, stream := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				arrived, left := make(chan struct{}), make(chan struct{})
				s := connect(t, then(first, func(_ http.ResponseWriter, r *http.Request) {
					close(arrived)
					<-r.Context().Done()
					close(left)
				}), tgi.Options{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					<-arrived
					cancel()
				}()
				_, err := gather(ctx, s, &generate.Request{Prompt: "Hi", Stream: stream, N: 1})
				if !errors.Is(err, context.Canceled) {
					// What is no stream at all may be noticed first.
					if own, ok := access.AsError(err); stream || !ok || own.Kind != access.Unavailable {
						t.Errorf("got %v", err)
					}
				}
				select {
				case <-left:
				case <-time.After(time.Minute):
					t.Error("the server has not heard of it")
				}
			})
		}
	}
}

// TestEmitsErrorEndsTheRequest: so does a client of the gateway's that is gone.
func TestEmitsErrorEndsTheRequest(t *testing.T) {
	left := make(chan struct{})
	s := connect(t, then(events(firstEvent), func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(left)
	}), tgi.Options{})
	enough := errors.New("enough")
	if err := s.Generate(t.Context(), &generate.Request{Prompt: "Hi", Stream: true, N: 1}, func(generate.Chunk) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	<-left
}

func TestInfoThatIsNone(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{"no id": answers(200, "{}"), "no JSON": answers(200, "hello"), "no route": answers(404, "")} {
		s := connect(t, h, tgi.Options{})
		if models, err := s.Models(t.Context()); err == nil {
			t.Errorf("%s: models %v", name, models)
		}
		if v, err := s.Version(t.Context()); err == nil {
			t.Errorf("%s: version %s", name, v)
		}
	}
}
