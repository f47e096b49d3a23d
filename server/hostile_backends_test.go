package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// plainModel answers the question whether a model is decoupled.
var plainModel = []backendstest.Step{backendstest.Receive(), backendstest.Send(&inference.ModelConfigResponse{Config: &inference.ModelConfig{}})}

// inferences are the two ways to ask for one.
func inferences(t *testing.T, g *gateway) map[string]func(context.Context) error {
	t.Helper()
	request := encoded(t, add("simple"))
	return map[string]func(context.Context) error{
		"unary":  func(ctx context.Context) error { _, err := g.send(ctx, modelInfer, request); return err },
		"stream": func(ctx context.Context) error { _, err := g.sendStream(ctx, request); return err },
	}
}

// last is the last inference that a server got, once it is there.
func last(t *testing.T, b *backendstest.Server) *backendstest.Call {
	t.Helper()
	var found *backendstest.Call
	eventually(t, "the call", func() bool {
		for _, call := range b.Calls() {
			if call.Method != "ModelConfig" && !call.Ended() {
				found = call
			}
		}
		return found != nil
	})
	return found
}

// TestServerThatHangs: the caller's deadline and its giving up reach the server
// at once.
func TestServerThatHangs(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{
		"ModelInfer": {backendstest.Receive(), backendstest.Hang()}, "ModelStreamInfer": {backendstest.Receive(), backendstest.Hang()}, "ModelConfig": plainModel,
	})
	g := start(t, setup{backend: b.Addr, cut: true})
	for name, call := range inferences(t, g) {
		t.Run(name+", deadline", func(t *testing.T) {
			const patience = 2 * time.Second // the call has to get to the server within it, on a busy machine too
			ctx, cancel := context.WithTimeout(g.as("bob"), patience)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- call(ctx) }()
			seen := last(t, b)
			if deadline, ok := seen.Context().Deadline(); !ok || time.Until(deadline) > 2*patience {
				t.Errorf("the server knows of the deadline %v, %v", deadline, ok)
			}
			if err := <-ended; status.Code(err) != codes.DeadlineExceeded {
				t.Error(err)
			}
			eventually(t, "the server to see the end", seen.Ended)
		})
		t.Run(name+", cancel", func(t *testing.T) {
			ctx, cancel := context.WithCancel(g.as("bob"))
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- call(ctx) }()
			seen := last(t, b)
			cancel()
			if err := <-ended; status.Code(err) != codes.Canceled {
				t.Error(err)
			}
			eventually(t, "the server to see the end", seen.Ended)
		})
	}
}

// TestServerThatBreaks: a reset, garbage, too many answers, none.
func TestServerThatBreaks(t *testing.T) {
	answer := &inference.ModelInferResponse{ModelName: "simple"}
	chunk := &inference.ModelStreamInferResponse{InferResponse: answer}
	for name, c := range map[string]struct{ unary, stream []backendstest.Step }{
		"reset before the answer": {
			[]backendstest.Step{backendstest.Receive(), backendstest.Reset()}, []backendstest.Step{backendstest.Receive(), backendstest.Reset()},
		},
		"reset after headers": {
			[]backendstest.Step{backendstest.Receive(), backendstest.Header("x", "y"), backendstest.Reset()}, []backendstest.Step{backendstest.Receive(), backendstest.Send(chunk), backendstest.Reset()},
		},
		"garbage": {
			[]backendstest.Step{backendstest.Receive(), backendstest.Garbage()}, []backendstest.Step{backendstest.Receive(), backendstest.Garbage()},
		},
		"garbage after an answer": {
			[]backendstest.Step{backendstest.Receive(), backendstest.Send(answer), backendstest.Garbage()}, []backendstest.Step{backendstest.Receive(), backendstest.Send(chunk), backendstest.Garbage()},
		},
		"text": {
			[]backendstest.Step{backendstest.Receive(), backendstest.SendBytes([]byte(prompt))}, []backendstest.Step{backendstest.Receive(), backendstest.SendBytes([]byte(prompt))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := backendstest.Listen(t, backendstest.Script{"ModelInfer": c.unary, "ModelStreamInfer": c.stream, "ModelConfig": plainModel})
			g := start(t, setup{backend: b.Addr, cut: true})
			for kind, call := range inferences(t, g) {
				err := call(g.as("bob"))
				wantRefusal(t, err, codes.Unavailable, access.ReasonBackendAway)
				if text := status.Convert(err).Message(); strings.Contains(text, "127.0.0.1") || strings.Contains(text, prompt) {
					t.Errorf("%s: %q", kind, text)
				}
			}
			g.wantNoLeak(prompt)
		})
	}
}

// TestServerThatEndsEarly: OK without an answer is no answer, and a stream that
// ends well before all is answered is the server's own affair.
func TestServerThatEndsEarly(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{"ModelInfer": {backendstest.Receive()}, "ModelStreamInfer": {backendstest.Receive()}, "ModelConfig": plainModel})
	g := start(t, setup{backend: b.Addr, cut: true})
	if _, err := g.ModelInfer(g.as("bob"), add("simple")); err == nil {
		t.Error("an answer that was not given is OK")
	}
	if answers, err := g.sendStream(g.as("bob"), encoded(t, add("simple"))); len(answers) != 0 || err != nil {
		t.Error(answers, err)
	}
}

// TestGarbageFromControlRPCs.
func TestGarbageFromControlRPCs(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{backendstest.Any: {backendstest.Receive(), backendstest.Garbage()}})
	g := start(t, setup{backend: b.Addr})
	for name, all := range samples {
		if name == "ModelStreamInfer" || name == "ServerLive" || name == "ServerReady" || name == "Check" || name == "List" || name == "Watch" || name == "ServerReflectionInfo" {
			continue // answered by the gateway itself
		}
		for _, s := range all {
			_, err := g.send(g.as("alice"), service+name, encoded(t, s.request))
			if strings.HasSuffix(name, "Unregister") {
				continue // there is nothing of hers to unregister
			}
			if status.Code(err) != codes.Unavailable || reasonOf(err) != access.ReasonBackendAway {
				t.Error(at(name, s.about), err)
			}
		}
	}
	if ready, err := g.ServerReady(g.as(""), &inference.ServerReadyRequest{}); err != nil || ready.GetReady() {
		t.Errorf("ready: %v, %v", ready, err)
	}
}

// TestStatusesOfServers go through unchanged, with their details, and are not
// written down: they may quote what was asked.
func TestStatusesOfServers(t *testing.T) {
	var step func(*backendstest.Call) error
	b := backendstest.Listen(t, backendstest.Script{
		"ModelInfer":       {backendstest.Receive(), backendstest.Trailer("x-server", "s"), func(c *backendstest.Call) error { return step(c) }},
		"ModelStreamInfer": {backendstest.Receive(), func(c *backendstest.Call) error { return step(c) }},
		"ModelConfig":      plainModel,
	})
	g := start(t, setup{backend: b.Addr, cut: true})
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		want := status.New(code, fmt.Sprintf("[request id: x] %s\nü 100%% %v", prompt, code))
		step = func(*backendstest.Call) error { return want.Err() }
		for kind, call := range inferences(t, g) {
			if got := status.Convert(call(g.as("bob"))); !proto.Equal(got.Proto(), want.Proto()) {
				t.Errorf("%s: got %v, want %v", kind, got, want)
			}
		}
	}
	step = func(*backendstest.Call) error { return status.Error(4711, prompt) }
	for kind, call := range inferences(t, g) {
		if err := call(g.as("bob")); status.Code(err) != 4711 {
			t.Errorf("%s: %v", kind, err)
		}
	}
	g.wantNoMetric(`"4711`) // not in a number, where chance may put it
	g.wantNoMetric("(4711")
	g.wantNoLeak(prompt)
}

// TestNotAModelServer: what listens there speaks HTTP/2 but not gRPC, HTTP/1, or
// nothing that anybody knows.
func TestNotAModelServer(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "<html>"+prompt) // the client may have gone
	})
	two := httptest.NewUnstartedServer(page)
	two.Config.Protocols = new(http.Protocols)
	two.Config.Protocols.SetUnencryptedHTTP2(true)
	two.Start()
	defer two.Close()
	one := httptest.NewServer(page)
	defer one.Close()
	for name, address := range map[string]string{"HTTP/2": two.Listener.Addr().String(), "HTTP/1": one.Listener.Addr().String(), "noise": noise(t), "nothing": "127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			g := start(t, setup{backend: address, cut: true})
			for kind, call := range inferences(t, g) {
				err := call(g.as("bob"))
				wantRefusal(t, err, codes.Unavailable, access.ReasonBackendAway)
				if text := status.Convert(err).Message(); strings.Contains(text, prompt) || strings.Contains(text, "127.0.0.1") {
					t.Errorf("%s: %q", kind, text)
				}
			}
			g.wantNoLeak(prompt)
		})
	}
}

// noise is a server that answers every connection with the same text.
func noise(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, strings.Repeat(prompt, 100)) // the client may have gone
			_ = c.Close()
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return l.Addr().String()
}

// TestServerThatComesLater: the gateway starts without it, says that it is away
// at once, and finds it when it is there.
func TestServerThatComesLater(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	g := start(t, setup{backend: address})
	before := time.Now()
	_, err = g.ModelInfer(g.as("bob"), add("simple"))
	wantRefusal(t, err, codes.Unavailable, access.ReasonBackendAway)
	if took := time.Since(before); took > 15*time.Second { // the caller would wait for minutes
		t.Errorf("it took %v to say so", took)
	}
	if ready, err := g.ServerReady(g.as(""), &inference.ServerReadyRequest{}); err != nil || ready.GetReady() {
		t.Errorf("ready: %v, %v", ready, err)
	}
	startModelsAt(t, address)
	eventually(t, "the server", func() bool {
		_, err := g.ModelInfer(g.as("bob"), add("simple"))
		return err == nil
	})
}
