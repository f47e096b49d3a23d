package inference

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
)

// told notes what is sent, and what is heard.
type told struct {
	grpc.ServerStream
	all []string
}

func (s *told) SendMsg(any) error {
	s.all = append(s.all, "sent")
	return nil
}

// TestEachAnswerIsHeardOfBeforeItIsSent: the record tells from it what Sluice took.
func TestEachAnswerIsHeardOfBeforeItIsSent(t *testing.T) {
	client := new(told)
	call := &access.Call{OnAnswer: func() { client.all = append(client.all, "heard") }}
	l := newLine(access.WithCall(t.Context(), call), client)
	for _, id := range []string{"1", "2"} {
		if err := l.fail(id, "no", ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := client.all; len(got) != 4 || got[0] != "heard" || got[1] != "sent" || got[2] != "heard" || got[3] != "sent" {
		t.Errorf("%q", got)
	}
	call.OnAnswer = nil
	if err := newLine(access.WithCall(t.Context(), call), client).fail("3", "no", ""); err != nil || len(client.all) != 5 {
		t.Errorf("%q", client.all)
	}
}

// late is a client whose deadline is over when its only request is refused.
type late struct {
	told
	ctx  context.Context //nolint:containedctx // a stream has its context
	read int
}

func (s *late) Context() context.Context { return s.ctx }

func (s *late) RecvMsg(any) error {
	if s.read++; s.read > 1 {
		return io.EOF
	}
	return &access.MessageError{ID: "1", Err: &access.Error{Kind: access.Malformed, Reason: access.ReasonModelName, Message: "no"}}
}

// TestAStreamThatEndsWellHasAnsweredAll: a refusal that did not get out any more is
// not taken for an answer.
func TestAStreamThatEndsWellHasAnsweredAll(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for range 200 { // which of two things that are so is seen first, is chance
		client := &late{ctx: access.WithCall(ctx, new(access.Call))}
		err := new(Service).ModelStreamInfer(nil, client)
		if err == nil && len(client.all) == 0 || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("it ended with %v after %q", err, client.all)
		}
	}
}
