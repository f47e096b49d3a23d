package masking_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

// around is a step around masking that follows each request, and writes down what
// leaves of each.
type around struct {
	client
	n     int
	heard []string // "follower: text"
}

type outer struct {
	n     int
	found []string
}

func (*outer) Decoupled() bool         { panic("the relay asks masking, which knows the model") }
func (o *outer) Masked(f access.Found) { o.found = append(o.found, fmt.Sprint(f.Entity, f.N)) }

func (a *around) RecvMsg(m any) error {
	err := a.client.RecvMsg(m)
	if message, ok := m.(*wire.Message); ok && err == nil {
		a.n++
		message.Follow(&outer{n: a.n})
	}
	return err
}

func (a *around) SendMsg(m any) error {
	name := func(f wire.Follower) string {
		if o, ok := f.(*outer); ok {
			return fmt.Sprint(o.n) + fmt.Sprint(o.found)
		}
		return "nobody"
	}
	if end, ok := m.(wire.End); ok {
		a.heard = append(a.heard, name(end.Follower)+" ends")
		return nil
	}
	if err := a.client.SendMsg(m); err != nil {
		return err
	}
	got := a.got[len(a.got)-1]
	text := strings.Join(textsOf(got.GetInferResponse()), "") + got.GetErrorMessage()
	a.heard = append(a.heard, name(m.(*wire.Message).Follower())+" "+text)
	return nil
}

// TestAStepAroundHearsItsOwn: whatever masking makes of the answers, each leaves
// with the follower of its request, and its end is told once.
func TestAStepAroundHearsItsOwn(t *testing.T) {
	r, in := newRig(t), &around{}
	err := r.openAround(t, in, func(ss grpc.ServerStream) error {
		masked, clear, strict := follow(t, ss), follow(t, ss), follow(t, ss)
		if !decoupled(masked) || !decoupled(clear) {
			t.Error("a request is not followed")
		}
		err := errors.Join(
			send(t, ss, masked, token("to jane.doe@")), send(t, ss, clear, token(mail)), send(t, ss, masked, token("example.com")),
			ss.SendMsg(wire.End{Follower: clear}), ss.SendMsg(wire.End{Follower: masked}),
			send(t, ss, nil, token("?")))
		if send(t, ss, strict, token(serial+", by")) == nil {
			t.Error("what a rule blocks is sent")
		}
		return errors.Join(err, ss.SendMsg(wire.End{Follower: strict}))
	}, ask("m", "1"), ask("clear", "2"), ask("strict", "3"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"1[] to ", "2[] " + mail, "1[] ", "2[] ends", "1[EMAIL1] [EMAIL]", "1[EMAIL1] ends", "nobody ?", "3[SSN1] ends",
	}
	if !slices.Equal(in.heard, want) {
		t.Errorf("got %q, want %q", in.heard, want)
	}
}

// TestAStepAroundChangesNothing: a request whose answers are not masked is not
// followed where that could make a difference to the client.
func TestAStepAroundChangesNothing(t *testing.T) {
	sequence := ask("clear", "1")
	sequence.Parameters = map[string]*pb.InferParameter{"sequence_id": words("7")}
	for _, c := range []struct {
		name    string
		request *pb.ModelInferRequest
		facts   masking.Facts
		err     error
		follows bool
	}{
		{"a model of several answers", ask("clear", "1"), masking.Facts{Decoupled: true}, nil, true},
		{"a model that nothing is known of", ask("clear", "1"), masking.Facts{}, errors.New("away"), false},
		{"a sequence, answered once each", sequence, masking.Facts{}, nil, true},
		{"a sequence of several answers", sequence, masking.Facts{Decoupled: true}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, in := newRig(t), &around{}
			r.facts, r.factsErr = c.facts, c.err
			err := r.openAround(t, in, func(ss grpc.ServerStream) error {
				f := follow(t, ss)
				if follows := f != nil; follows != c.follows {
					t.Errorf("got %#v", f)
				}
				return send(t, ss, f, token(mail))
			}, c.request)
			if err != nil || len(in.heard) != 1 || !strings.HasSuffix(in.heard[0], mail) || strings.HasPrefix(in.heard[0], "1") != c.follows {
				t.Errorf("got %q, %v", in.heard, err)
			}
		})
	}
}

// openAround is open with a step around.
func (r *rig) openAround(t *testing.T, a *around, handler func(ss grpc.ServerStream) error, requests ...*pb.ModelInferRequest) error {
	t.Helper()
	for _, req := range requests {
		a.requests = append(a.requests, message(t, req))
	}
	a.ctx = access.WithCall(t.Context(), r.call)
	return r.Step().Stream(nil, a, &grpc.StreamServerInfo{FullMethod: streamMethod}, func(_ any, ss grpc.ServerStream) error { return handler(ss) })
}
