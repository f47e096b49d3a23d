package approval_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	engine "github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// streaming runs f as the handler of a stream that brings messages by id.
func (r *rig) streaming(ctx context.Context, call *access.Call, f func(ss grpc.ServerStream), ids ...string) {
	r.t.Helper()
	in := &incoming{}
	for _, id := range ids {
		text := &inference.InferParameter{ParameterChoice: &inference.InferParameter_StringParam{StringParam: "a secret"}}
		raw, err := proto.Marshal(&inference.ModelInferRequest{ModelName: "m", Id: id, Parameters: map[string]*inference.InferParameter{"prompt": text}})
		if err != nil {
			r.t.Fatal(err)
		}
		in.messages = append(in.messages, raw)
	}
	call.Verb, call.Model, call.Stream = access.Infer, "", true
	in.ctx = access.WithCall(ctx, call)
	info := &grpc.StreamServerInfo{FullMethod: inference.GRPCInferenceService_ModelStreamInfer_FullMethodName}
	err := r.step().Stream(nil, in, info, func(srv any, ss grpc.ServerStream) error {
		return r.gate.Step().Stream(srv, ss, info, func(_ any, ss grpc.ServerStream) error { f(ss); return nil })
	})
	if err != nil {
		r.t.Error(err)
	}
}

// next reads a message in the background.
func next(ss grpc.ServerStream) <-chan error {
	done := make(chan error, 1)
	go func() {
		var m wire.Message
		err := ss.RecvMsg(&m)
		m.Free()
		done <- err
	}()
	synctest.Wait()
	return done
}

func TestAHeldMessageStopsReadingAndNotSending(t *testing.T) {
	bubble(t, func(r *rig) {
		call := newCall()
		var told []access.Message
		call.OnMessage = func(m access.Message) { told = append(told, m) }
		r.streaming(r.t.Context(), call, func(ss grpc.ServerStream) {
			held := next(ss)
			for range 3 {
				if err := ss.SendMsg("answer"); err != nil {
					t.Error(err)
				}
			}
			request := r.pending()
			if text := request.Covers.Parts[0].Text; !strings.Contains(text, "[of m]") || strings.Contains(text, "secret") {
				t.Errorf("carol is shown %q", text)
			}
			r.approve()
			if err := <-held; err != nil {
				t.Fatal(err)
			}
			if len(told) != 1 || told[0].ID != "one" || told[0].Approval.Request != request.ID || told[0].Refused != nil || told[0].Guard != "g" {
				t.Errorf("told %+v", told)
			}
			if err := <-next(ss); err != nil { // the same content under another id
				t.Error(err)
			}
		}, "one", "two")
	})
}

func TestARefusedMessageIsRefusedAlone(t *testing.T) {
	bubble(t, func(r *rig) {
		call := newCall()
		var told []access.Message
		call.OnMessage = func(m access.Message) { told = append(told, m) }
		r.streaming(r.t.Context(), call, func(ss grpc.ServerStream) {
			held := next(ss)
			if _, err := r.engine.Deny(r.t.Context(), carol, r.pending().ID, engine.Answer{}); err != nil {
				t.Fatal(err)
			}
			var refused *access.MessageError
			if err := <-held; !errors.As(err, &refused) || refused.ID != "one" || refused.Err.Reason != access.ReasonApprovalDenied {
				t.Errorf("got %v", err)
			}
			if len(told) != 1 || told[0].Refused == nil {
				t.Errorf("told %+v", told)
			}
			r.ask(nil)
			if err := <-next(ss); err != nil {
				t.Error(err)
			}
		}, "one", "two")
	})
}

func TestTheEndOfAStreamEndsTheWaitWithoutAWord(t *testing.T) {
	bubble(t, func(r *rig) {
		call := newCall()
		call.OnMessage = func(m access.Message) { t.Errorf("told %+v after the end", m) }
		ctx, cancel := context.WithCancel(r.t.Context())
		r.streaming(ctx, call, func(ss grpc.ServerStream) {
			held := next(ss)
			cancel()
			if err := <-held; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}, "one")
	})
}

func TestARevokedGrantCutsTheStreamInBothDirections(t *testing.T) {
	for name, granted := range map[string]bool{"an approval": false, "access that was given": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				call := newCall()
				r.streaming(r.t.Context(), call, func(ss grpc.ServerStream) {
					held := next(ss)
					grant := r.approve().Grant
					if err := <-held; err != nil {
						t.Fatal(err)
					}
					if call.Granted == nil || call.Granted.Grant != grant {
						t.Errorf("the message was let through by %+v", call.Granted)
					}
					if granted { // the next message goes by it alone
						r.ask(nil)
						call.Granted = &access.Approval{Grant: grant}
					}
					if err := errors.Join(<-next(ss), ss.SendMsg("answer")); err != nil {
						t.Fatal(err)
					}
					if _, err := r.engine.Revoke(r.t.Context(), carol, grant, "", false); err != nil {
						t.Fatal(err)
					}
					if err := ss.SendMsg("answer"); reason(err) != access.ReasonGrantRevoked {
						t.Errorf("sending: %v", err)
					}
					if err := <-next(ss); reason(err) != access.ReasonGrantRevoked {
						t.Errorf("reading: %v", err)
					}
				}, "one", "two", "three")
			})
		})
	}
}

func TestAMessageIsDecidedAgainToo(t *testing.T) {
	bubble(t, func(r *rig) {
		call := newCall()
		r.streaming(r.t.Context(), call, func(ss grpc.ServerStream) {
			held := next(ss)
			r.ask(&access.Error{Kind: access.PermissionDenied, Reason: access.ReasonNoRole})
			r.approve()
			if err := <-held; reason(err) != access.ReasonNoRole {
				t.Errorf("got %v", err)
			}
		}, "one")
	})
}

func TestAModelThatNoGuardIsAboutPaysNothing(t *testing.T) {
	bubble(t, func(r *rig) {
		r.ask(nil)
		r.streaming(r.t.Context(), newCall(), func(ss grpc.ServerStream) {
			if n := testing.AllocsPerRun(100, func() { _ = ss.SendMsg("answer") }); n != 0 {
				t.Errorf("an answer costs %v allocations", n)
			}
		})
		call := newCall()
		ctx := access.WithCall(r.t.Context(), call)
		step, info := r.gate.Step(), &grpc.UnaryServerInfo{}
		handler := func(context.Context, any) (any, error) { return nil, nil }
		if n := testing.AllocsPerRun(100, func() { _, _ = step.Unary(ctx, nil, info, handler) }); n != 0 {
			t.Errorf("a call costs %v allocations", n)
		}
	})
}
