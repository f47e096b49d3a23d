package inference_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/services/inference"
)

// wary is a backend whose credential is opened for approved messages alone.
type wary struct {
	backends.Backend
	mu   sync.Mutex
	open []string // the grants of what it was opened for
}

func (w *wary) Traits() backends.Traits {
	t := w.Backend.Traits()
	t.Apart = true
	return t
}

func (w *wary) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	a := access.ApprovedFrom(ctx)
	if a == nil {
		return nil, &access.Error{Kind: access.NeedsApproval, Reason: access.ReasonNeedsApproval, Message: "nobody has approved it"}
	}
	w.mu.Lock()
	w.open = append(w.open, a.Grant)
	w.mu.Unlock()
	return w.Backend.NewStream(ctx, desc, method, opts...)
}

// approving is the stand-in for the step that waits for people: what they have
// approved has an id of "ok" and more.
type approving struct {
	*memoryStream
	call *access.Call
}

func (s *approving) RecvMsg(m any) error {
	s.call.Granted = nil
	if len(s.requests) > 0 {
		var req pb.ModelInferRequest
		if proto.Unmarshal(s.requests[0], &req) == nil && strings.HasPrefix(req.GetId(), "ok") {
			s.call.Granted = &access.Approval{Grant: req.GetId()}
		}
	}
	return s.memoryStream.RecvMsg(m)
}

// TestEachMessageOpensItsOwnLease: what one message was approved for carries no other,
// one that nobody has approved is one error in its turn, and the stream goes on.
func TestEachMessageOpensItsOwnLease(t *testing.T) {
	for name, c := range map[string]struct {
		model string
		ids   []string
		want  []string
		opens []string
	}{
		"refused in the middle":         {"m@a", []string{"ok1", "other", "ok2"}, []string{"ok1", "other!", "ok2"}, []string{"ok1", "ok2"}},
		"refused at first":              {"m@a", []string{"other", "ok1"}, []string{"other!", "ok1"}, []string{"ok1"}},
		"none":                          {"m@a", []string{"other", "another"}, []string{"other!", "another!"}, nil},
		"the same id again":             {"m@a", []string{"ok1", "ok1"}, []string{"ok1", "ok1"}, []string{"ok1", "ok1"}},
		"of a decoupled model":          {"d-m@a", []string{"ok1", "other"}, []string{"ok1", "ok1", "other!"}, []string{"ok1"}},
		"more than may be open at once": {"m@a", slices.Repeat([]string{"ok"}, 100), slices.Repeat([]string{"ok"}, 100), slices.Repeat([]string{"ok"}, 100)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := backendstest.Start(t, backendstest.Script{"ModelConfig": {backendstest.Each(config)}, "ModelStreamInfer": {answerEach(nil)}})
				b, err := open("a", grpc.WithContextDialer(server.Dial))
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				w := &wary{Backend: b}
				table, err := backends.NewTable([]backends.Route{{Backend: w, Patterns: []string{"*"}, Weight: 1}})
				if err != nil {
					t.Fatal(err)
				}
				call := &access.Call{Stream: true}
				stream := &approving{&memoryStream{ctx: access.WithCall(t.Context(), call)}, call}
				for _, id := range c.ids {
					stream.requests = append(stream.requests, encode(request(c.model, id))...)
				}
				if err := inference.New(table, inference.ReadyAny).ModelStreamInfer(nil, stream); err != nil {
					t.Errorf("the stream ended with %v", err)
				}
				synctest.Wait()
				var got []string
				for _, a := range stream.answers {
					word := a.GetInferResponse().GetId()
					if a.GetErrorMessage() != "" {
						word += "!"
					}
					got = append(got, word)
				}
				slices.Sort(got)
				slices.Sort(c.want)
				if !slices.Equal(got, c.want) {
					t.Errorf("answers %q, want %q", got, c.want)
				}
				if !slices.Equal(w.open, c.opens) || streams(server) != len(c.opens) {
					t.Errorf("opened for %q, %d streams; want %q", w.open, streams(server), c.opens)
				}
			})
		})
	}
}

// TestASequenceIsNotTakenApart: its order would be lost.
func TestASequenceIsNotTakenApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := backendstest.Start(t, backendstest.Script{"ModelStreamInfer": {answerEach(nil)}})
		b, err := open("a", grpc.WithContextDialer(server.Dial))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		table, err := backends.NewTable([]backends.Route{{Backend: &wary{Backend: b}, Patterns: []string{"*"}, Weight: 1}})
		if err != nil {
			t.Fatal(err)
		}
		call := &access.Call{Stream: true}
		stream := &approving{&memoryStream{ctx: access.WithCall(t.Context(), call), requests: encode(inSequence(request("m@a", "ok1")))}, call}
		if err := inference.New(table, inference.ReadyAny).ModelStreamInfer(nil, stream); err != nil {
			t.Fatal(err)
		}
		if len(stream.answers) != 1 || !strings.Contains(stream.answers[0].GetErrorMessage(), "sequence") || streams(server) != 0 {
			t.Errorf("got %v", stream.answers)
		}
	})
}
