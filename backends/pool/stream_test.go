package pool_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

var streamDesc = &grpc.StreamDesc{StreamName: "ModelStreamInfer", ClientStreams: true, ServerStreams: true}

// relayed is a stream as a relay keeps it.
type relayed struct {
	grpc.ClientStream
	cancel  context.CancelFunc
	failure string // of the last answer
}

// openStream opens a stream at the member for a request.
func openStream(t *testing.T, p *pool.Pool, r *inference.ModelInferRequest) *relayed {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	b, refused := p.Member(ctx, viewOf(t, r))
	if refused != nil {
		t.Fatal(refused)
	}
	ctx, err := b.Outgoing(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.NewStream(ctx, streamDesc, inference.GRPCInferenceService_ModelStreamInfer_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	return &relayed{ClientStream: s, cancel: cancel}
}

func (s *relayed) send(t *testing.T, r *inference.ModelInferRequest) {
	t.Helper()
	b, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	m := wire.FromBytes(b)
	defer m.Free()
	if _, err := m.InferRequest(); err != nil {
		t.Fatal(err)
	}
	if err := s.SendMsg(m); err != nil {
		t.Fatal(err)
	}
}

// receive returns the replica that answers.
func (s *relayed) receive() (string, error) {
	m := new(wire.Message)
	defer m.Free()
	if err := s.RecvMsg(m); err != nil {
		return "", err
	}
	view, err := m.StreamResponse()
	if err != nil {
		return "", err
	}
	s.failure = view.ErrorMessage().String()
	return view.Response().ID().String(), nil
}

// TestAStreamMovesBeforeItsFirstAnswer kills the replica of a stream at several
// times.
func TestAStreamMovesBeforeItsFirstAnswer(t *testing.T) {
	plain := &inference.ModelInferRequest{ModelName: "m"}
	ofSequence := &inference.ModelInferRequest{ModelName: "m"}
	sequence("s", true, false)(ofSequence)
	for name, tt := range map[string]struct {
		request  *inference.ModelInferRequest
		answered bool
		messages int
		close    bool
		memory   int
		moves    bool
	}{
		"before":                  {plain, false, 1, false, 1 << 20, true},
		"before, half-closed":     {plain, false, 2, true, 1 << 20, true},
		"after an answer":         {plain, true, 1, false, 1 << 20, false},
		"of a sequence":           {ofSequence, false, 1, false, 1 << 20, false},
		"too much to keep":        {plain, false, 1, false, 0, false},
		"too many to keep":        {plain, false, 9, false, 1 << 20, false},
		"nothing has been sent":   {plain, false, 0, false, 1 << 20, false},
		"all that may be is kept": {plain, false, 8, false, 1 << 20, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				answer, _ := proto.Marshal(&inference.ModelStreamInferResponse{InferResponse: &inference.ModelInferResponse{Id: "first"}})
				silent := []backendstest.Step{backendstest.Receive(), backendstest.Hang()}
				if tt.answered {
					silent = []backendstest.Step{backendstest.Receive(), backendstest.SendBytes(answer), backendstest.Hang()}
				}
				a, b := newServer(t, "a:1", backendstest.Script{"ModelStreamInfer": silent}), newServer(t, "b:1", nil)
				p := newPool(t, func(o *pool.Options) { o.Config.Replicas.RepeatMemory = access.Size(tt.memory) }, a, b)
				time.Sleep(time.Second)
				s := openStream(t, p, tt.request)
				for range 100 { // until it is at the silent one
					if p.Status().Replicas[0].Outstanding == 1 {
						break
					}
					s.cancel()
					synctest.Wait()
					s = openStream(t, p, plain)
				}
				for n := range tt.messages {
					tt.request.Id = fmt.Sprint(n)
					s.send(t, tt.request)
				}
				if tt.close {
					if err := s.CloseSend(); err != nil {
						t.Fatal(err)
					}
				}
				if tt.answered {
					if id, err := s.receive(); err != nil || id != "first" {
						t.Fatalf("got %s, %v", id, err)
					}
				}
				synctest.Wait()
				a.kill()
				id, err := s.receive()
				if tt.moves {
					for n := range tt.messages { // the other answers them all
						if n > 0 {
							id, err = s.receive()
						}
						if err != nil || id != "b:1" {
							t.Fatalf("got %q, %v", id, err)
						}
					}
				} else {
					for n := range tt.messages { // each fails by itself, and the stream ends well
						if want := fmt.Sprint(n); err != nil || id != want || s.failure == "" {
							t.Fatalf("got %q, %v, want the failure of %s", id, err, want)
						}
						id, err = s.receive()
					}
					if err != io.EOF {
						t.Errorf("at the end %q, %v", id, err)
					}
				}
				if tt.close {
					if _, err := s.receive(); err != io.EOF {
						t.Errorf("at the end %v", err)
					}
				}
				s.cancel()
				synctest.Wait()
				for _, r := range p.Status().Replicas {
					if r.Outstanding != 0 {
						t.Errorf("still outstanding: %+v", r)
					}
				}
			})
		})
	}
}

// TestAStreamsMessagesCount: a stream with much unanswered on it is a busy one.
func TestAStreamsMessagesCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hung := backendstest.Script{"ModelStreamInfer": {backendstest.ReceiveAll()}}
		p := newPool(t, nil, newServer(t, "a:1", hung), newServer(t, "b:1", hung))
		time.Sleep(time.Second)
		s := openStream(t, p, &inference.ModelInferRequest{ModelName: "m"})
		for range 20 {
			s.send(t, &inference.ModelInferRequest{ModelName: "m"})
		}
		busy, idle := p.Status().Replicas[0], p.Status().Replicas[1]
		if busy.Outstanding < idle.Outstanding {
			busy, idle = idle, busy
		}
		if busy.Outstanding != 21 || idle.Outstanding != 0 {
			t.Errorf("%d and %d outstanding", busy.Outstanding, idle.Outstanding)
		}
		for range 10 {
			if at, err := infer(t.Context(), p); err != nil || at != idle.Address {
				t.Errorf("at %s: %v", at, err)
			}
		}
	})
}

// TestOnlyWhatIsOpenFails: answers that say that they are the last ones are
// believed, and so are errors from before execution.
func TestOnlyWhatIsOpenFails(t *testing.T) {
	yes := func(b bool) map[string]*inference.InferParameter {
		return map[string]*inference.InferParameter{"triton_final_response": {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: b}}}
	}
	answer := func(id string, p map[string]*inference.InferParameter, failure string) *inference.ModelStreamInferResponse {
		return &inference.ModelStreamInferResponse{ErrorMessage: failure, InferResponse: &inference.ModelInferResponse{Id: id, Parameters: p}}
	}
	bubble(t, func(t *testing.T) {
		script := backendstest.Script{"ModelStreamInfer": {
			backendstest.Receive(), backendstest.Receive(), backendstest.Receive(), backendstest.Receive(),
			backendstest.Send(answer("a", yes(true), ""), answer("b", yes(false), ""), answer("c", nil, "no such input"), answer("d", nil, "")),
			backendstest.Hang(),
		}}
		a, b := newServer(t, "a:1", script), newServer(t, "b:1", script)
		p := newPool(t, nil, a, b)
		time.Sleep(time.Second)
		s := openStream(t, p, &inference.ModelInferRequest{ModelName: "m"})
		for _, id := range []string{"a", "b", "c", "d"} {
			s.send(t, &inference.ModelInferRequest{ModelName: "m", Id: id})
		}
		for range 4 {
			if _, err := s.receive(); err != nil {
				t.Fatal(err)
			}
		}
		a.kill()
		b.kill()
		for _, want := range []string{"b", "d"} {
			if id, err := s.receive(); err != nil || id != want || s.failure == "" {
				t.Errorf("got %q, %q, %v, want the failure of %s", id, s.failure, err, want)
			}
		}
		if _, err := s.receive(); err != io.EOF {
			t.Errorf("at the end %v", err)
		}
		m := wire.FromBytes(nil)
		defer m.Free()
		if err := s.SendMsg(m); !backends.IsAway(err) || !backends.IsUnsent(err) {
			t.Errorf("a message after the end: %v", err)
		}
	})
}

// TestWhatCannotBeToldApartEndsTheStream: a silent end would be worse.
func TestWhatCannotBeToldApartEndsTheStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		script := backendstest.Script{"ModelStreamInfer": {backendstest.Receive(), backendstest.Send(&inference.ModelStreamInferResponse{}), backendstest.Hang()}}
		a, b := newServer(t, "a:1", script), newServer(t, "b:1", script)
		p := newPool(t, nil, a, b)
		time.Sleep(time.Second)
		s := openStream(t, p, &inference.ModelInferRequest{ModelName: "m"})
		s.send(t, &inference.ModelInferRequest{ModelName: "m", Id: strings.Repeat("x", 1000)})
		if _, err := s.receive(); err != nil {
			t.Fatal(err)
		}
		a.kill()
		b.kill()
		if _, err := s.receive(); !backends.IsAway(err) {
			t.Errorf("got %v", err)
		}
	})
}
