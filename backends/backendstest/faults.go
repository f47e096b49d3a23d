package backendstest

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// calls has the two ways to infer, those that the backend has.
func (h Harness) calls() map[Ability]func(context.Context, backends.Backend) error {
	all := map[Ability]func(context.Context, backends.Backend) error{
		Infer: func(ctx context.Context, b backends.Backend) error {
			_, err := client(b).ModelInfer(ctx, h.Infer.request("c"))
			return err
		},
		Stream: func(ctx context.Context, b backends.Backend) error {
			r := stream(ctx, b, h.Stream.request("c"))
			if r.err == nil && !r.failed("c") {
				return nil
			}
			return errors.Join(r.err, messages(r))
		},
	}
	for what := range h.Lacks {
		delete(all, what)
	}
	return all
}

// inStream is an error that came as a message of a stream.
type inStream string

func (e inStream) Error() string { return string(e) }

func messages(r result) error {
	for _, a := range r.answers {
		if text := a.GetErrorMessage(); text != "" {
			return inStream(text)
		}
	}
	return nil
}

// bounded returns what call does, if it returns at all.
func bounded(t *testing.T, what Ability, call func() error) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- call() }()
	return within(t, what, ended)
}

func within(t *testing.T, what Ability, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		t.Fatalf("%s goes on", what)
		return nil
	}
}

// wantUnavailable wants a call to have failed because of the server: with an
// error of Sluice's own, or in a stream with a message.
func wantUnavailable(t *testing.T, what Ability, err error) {
	t.Helper()
	var message inStream
	if !errors.As(err, &message) {
		wantAway(t, string(what), err)
	}
}

func testAway(t *testing.T, h Harness) {
	b, _ := h.open(t, ModeAway)
	for what, call := range h.calls() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		wantUnavailable(t, what, call(ctx, b))
	}
	ready, err := client(b).ServerReady(t.Context(), &inference.ServerReadyRequest{})
	if err == nil && ready.GetReady() {
		t.Error("a server that is away is ready")
	}
}

func testGarbage(t *testing.T, h Harness) {
	b, _ := h.open(t, ModeGarbage)
	for what, call := range h.calls() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		wantUnavailable(t, what, call(ctx, b))
	}
}

// testDeadline wants a call to end at its deadline, and the server to hear of it.
func testDeadline(t *testing.T, h Harness) {
	for what, call := range h.calls() {
		b, o := h.open(t, ModeHangs)
		// On a busy machine the first deadline may pass before the call is there.
		for last := 300 * time.Millisecond; last < patience && !arrived(o.Calls()); last *= 2 {
			ctx, cancel := context.WithTimeout(t.Context(), last)
			err := bounded(t, what, func() error { return call(ctx, b) })
			cancel()
			wantCode(t, string(what), err, codes.DeadlineExceeded)
		}
		o.await(t, "the end of "+string(what), allEnded)
	}
}

func testCancel(t *testing.T, h Harness) {
	for what, call := range h.calls() {
		b, o := h.open(t, ModeHangs)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		failed := make(chan error, 1)
		go func() { failed <- call(ctx, b) }()
		o.await(t, string(what)+" to arrive", arrived)
		cancel()
		wantCode(t, string(what), within(t, what, failed), codes.Canceled)
		o.await(t, "the end of "+string(what), allEnded)
	}
}

func testCancelLater(t *testing.T, h Harness) {
	if h.lacks(t, Stream) {
		return
	}
	b, o := h.open(t, ModeHangsLater)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := client(b).ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(h.Stream.request("l")); err != nil {
		t.Fatal(err)
	}
	first, err := s.Recv()
	if err != nil || sameTensors(first.GetInferResponse(), h.Stream.Answers[0]) != nil {
		t.Fatalf("the first answer is %v, %v", first, err)
	}
	cancel()
	if r := collect(s); codeOf(r.err) != codes.Canceled {
		t.Errorf("the stream ended with %v", r.err)
	}
	o.await(t, "the end of the generation", allEnded)
}

// testBreak wants a server that breaks off to be an error, never a good end.
func testBreak(t *testing.T, h Harness) {
	if h.lacks(t, Stream) {
		return
	}
	b, _ := h.open(t, ModeBreaks)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := stream(ctx, b, h.Stream.request("b"))
	if !r.failed("b") {
		t.Errorf("the stream ended as if all were well, after %v", r.answers)
	}
	wantUnavailable(t, Stream, errors.Join(r.err, messages(r)))
}

// testClose wants open calls to end with the backend, and later ones to fail.
func testClose(t *testing.T, h Harness) {
	for what, call := range h.calls() {
		b, o := h.open(t, ModeHangs)
		failed := make(chan error, 1)
		go func() { failed <- call(t.Context(), b) }()
		o.await(t, string(what)+" to arrive", arrived)
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if within(t, what, failed) == nil {
			t.Errorf("%s went well", what)
		}
		o.await(t, "the end of "+string(what), allEnded)
		if err := call(t.Context(), b); err == nil {
			t.Errorf("%s went well after Close", what)
		}
	}
}
