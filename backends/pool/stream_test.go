package pool_test

import (
	"context"
	"io"
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
	cancel context.CancelFunc
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
	return &relayed{s, cancel}
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
				for range tt.messages {
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
				if tt.moves != (err == nil && id == "b:1") || !tt.moves && !backends.IsAway(err) {
					t.Fatalf("got %q, %v", id, err)
				}
				for range tt.messages - 1 {
					if id, err := s.receive(); tt.moves && (err != nil || id != "b:1") {
						t.Errorf("then %q, %v", id, err)
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
