package approval_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	engine "github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/interceptors/approval"
	"github.com/sluice-gateway/sluice/store/storetest"
	"github.com/sluice-gateway/sluice/wire"
)

var (
	alice = &access.Principal{Issuer: "https://issuer", Subject: "alice", Name: "alice", Kind: access.User}
	carol = &access.Principal{Issuer: "https://issuer", Subject: "carol", Name: "carol", Kind: access.User, Groups: []string{"approvers"}}
)

// rig is a gate with an engine, and one step outside of it that asks for what
// needs says.
type rig struct {
	t       *testing.T
	gate    *approval.Gate
	engine  *engine.Engine
	mu      sync.Mutex
	needs   []*access.Need
	refusal *access.Error
	runs    int
}

func bubble(t *testing.T, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		t.Cleanup(func() { _ = s.Close() })
		r := &rig{t: t, needs: []*access.Need{need(access.ScopeCall)}}
		r.engine = engine.New(engine.EngineOptions{Store: s})
		r.engine.Replace(&engine.Rules{Guards: map[string][32]byte{"g": {1}}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.engine.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		r.gate = &approval.Gate{
			Engine: r.engine, Again: []interceptors.Step{r.step()}, Backend: func(string) string { return "gpu" },
			Mask: func(_ context.Context, model, text string) string {
				return strings.ReplaceAll(text, "secret", "[of "+model+"]")
			},
		}
		synctest.Wait()
		f(r)
	})
}

func need(scope access.Scope) *access.Need {
	return &access.Need{Guard: "g", Definition: [32]byte{1}, Terms: access.Terms{By: []string{"approvers"}, Count: 1, Within: time.Hour, Grant: time.Hour, Mode: access.Wait, Scope: scope}}
}

// ask sets what the step outside says from now on.
func (r *rig) ask(refusal *access.Error, needs ...*access.Need) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusal, r.needs = refusal, needs
}

func (r *rig) decide(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs++
	access.CallFrom(ctx).Needs = r.needs
	if r.refusal != nil {
		return r.refusal
	}
	return nil
}

// step stands for policy and guards.
func (r *rig) step() interceptors.Step {
	return interceptors.Step{
		Name: "decide",
		Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			if err := r.decide(ctx); err != nil {
				return nil, err
			}
			return handler(ctx, req)
		},
		Stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			return handler(srv, &deciding{ss, r})
		},
	}
}

type deciding struct {
	grpc.ServerStream
	r *rig
}

func (s *deciding) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	err := s.r.decide(s.Context())
	if refused, ok := access.AsError(err); ok && refused != nil {
		return &access.MessageError{ID: "id", Err: refused}
	}
	return nil
}

func newCall() *access.Call {
	return &access.Call{RPC: "RPC", Principal: alice, Verb: access.Unload, Model: "m", Metadata: map[string][]string{"sluice-reason": {"why"}, "sluice-ticket": {"T-1"}}}
}

// unary makes a call in the background.
func (r *rig) unary(call *access.Call, method string, req any) <-chan error {
	info := &grpc.UnaryServerInfo{FullMethod: method}
	run := func(ctx context.Context, req any) (any, error) {
		return r.gate.Step().Unary(ctx, req, info, func(context.Context, any) (any, error) { return nil, nil })
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.step().Unary(access.WithCall(r.t.Context(), call), req, info, run)
		done <- err
	}()
	synctest.Wait()
	return done
}

func unload() any { return wire.RequestOf(&inference.RepositoryModelUnloadRequest{ModelName: "m"}) }

const unloading = inference.GRPCInferenceService_RepositoryModelUnload_FullMethodName

func (r *rig) pending() *engine.Request {
	r.t.Helper()
	all, err := r.engine.List(r.t.Context(), engine.Filter{State: engine.Pending})
	if err != nil || len(all) != 1 {
		r.t.Fatalf("%d requests, %v", len(all), err)
	}
	return all[0]
}

func (r *rig) approve() *engine.Request {
	r.t.Helper()
	got, err := r.engine.Approve(r.t.Context(), carol, r.pending().ID, engine.Answer{})
	if err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
	return got
}

func reason(err error) string {
	if e, ok := access.AsError(err); ok && e != nil {
		return e.Reason
	}
	return ""
}

func TestAUnaryCallWaitsAndIsDecidedAgain(t *testing.T) {
	bubble(t, func(r *rig) {
		call := newCall()
		done := r.unary(call, unloading, unload())
		got := r.pending()
		if got.Reason != "why" || got.Ticket != "T-1" || got.Backend != "gpu" || got.Origin.RPC != "RPC" || got.Covers == nil {
			t.Errorf("asked with %+v", got)
		}
		time.Sleep(time.Second)
		r.approve()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if r.runs != 2 || call.Guard != "g" || call.Approval == nil || call.Approval.Request != got.ID || call.Approval.Waited != time.Second {
			t.Errorf("decided %d times; noted %+v", r.runs, call.Approval)
		}
	})
}

func TestWhatIsDecidedOtherwiseInTheMeantime(t *testing.T) {
	for name, c := range map[string]struct {
		refusal *access.Error
		needs   []*access.Need
		reason  string
	}{
		"no role allows it any more": {&access.Error{Kind: access.PermissionDenied, Reason: access.ReasonNoRole}, nil, access.ReasonNoRole},
		"no guard asks any more":     {nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				done := r.unary(newCall(), unloading, unload())
				r.ask(c.refusal, c.needs...)
				r.approve()
				if err := <-done; reason(err) != c.reason {
					t.Errorf("got %v, want %s", err, c.reason)
				}
			})
		})
	}
}

// TestAScopeThatBecomesNarrowerCoversTheContent: what was let go for any content
// is not let go for this one by another's approval.
func TestAScopeThatBecomesNarrowerCoversTheContent(t *testing.T) {
	infer := func(text string) any {
		return requestOf(t, &inference.ModelInferRequest{ModelName: "m", Parameters: map[string]*inference.InferParameter{
			"p": {ParameterChoice: &inference.InferParameter_StringParam{StringParam: text}},
		}})
	}
	bubble(t, func(r *rig) {
		r.ask(nil, need(access.ScopeModel))
		method := inference.GRPCInferenceService_ModelInfer_FullMethodName
		one, two := r.unary(newCall(), method, infer("one")), r.unary(newCall(), method, infer("two"))
		first := r.pending()
		r.ask(nil, need(access.ScopeCall))
		if _, err := r.engine.Approve(r.t.Context(), carol, first.ID, engine.Answer{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		all, err := r.engine.List(r.t.Context(), engine.Filter{State: engine.Pending})
		if err != nil || len(all) != 2 || all[0].Digest == all[1].Digest || all[0].Covers == nil {
			t.Fatalf("the two wait for %d requests, %v", len(all), err)
		}
		for _, request := range all {
			if _, err := r.engine.Approve(r.t.Context(), carol, request.ID, engine.Answer{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(<-one, <-two); err != nil {
			t.Error(err)
		}
	})
}

func TestDataThatServersReadInTwoWaysIsNotAskedAbout(t *testing.T) {
	bubble(t, func(r *rig) {
		request := requestOf(t, &inference.ModelInferRequest{
			ModelName: "m", RawInputContents: [][]byte{[]byte("\x04\x00\x00\x00evil")},
			Inputs: []*inference.ModelInferRequest_InferInputTensor{
				{Name: "prompt", Datatype: "BYTES", Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte("harmless")}}},
			},
		})
		call := newCall()
		call.Verb = access.Infer
		if err := <-r.unary(call, inference.GRPCInferenceService_ModelInfer_FullMethodName, request); reason(err) != access.ReasonMalformed {
			t.Errorf("got %v", err)
		}
	})
}

func TestAModelThatMovesIsAskedAboutAgain(t *testing.T) {
	bubble(t, func(r *rig) {
		done := r.unary(newCall(), unloading, unload())
		r.gate.Backend = func(string) string { return "cpu" }
		first := r.approve()
		if again := r.pending(); again.Backend != "cpu" || again.ID == first.ID {
			t.Errorf("it waits for %+v", again)
		}
		r.approve()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestWithoutAStoreNothingIsApproved(t *testing.T) {
	bubble(t, func(r *rig) {
		r.gate.Engine = nil
		if err := <-r.unary(newCall(), unloading, unload()); reason(err) != access.ReasonStoreAway {
			t.Errorf("got %v", err)
		}
		r.ask(nil)
		if err := <-r.unary(newCall(), unloading, unload()); err != nil {
			t.Errorf("what needs none: %v", err)
		}
	})
}

func TestWhatThatStepCannotReadIsNotPassedOn(t *testing.T) {
	bubble(t, func(r *rig) {
		for name, req := range map[string]any{"no request": "text", "a control message that nobody has decoded": new(wire.Request)} {
			if err := <-r.unary(newCall(), unloading, req); err == nil {
				t.Errorf("%s goes on", name)
			}
		}
	})
}

func TestAGrantOfAccessIsNoted(t *testing.T) {
	bubble(t, func(r *rig) {
		r.ask(nil)
		call := newCall()
		call.Granted = &access.Approval{Grant: "x"}
		if err := <-r.unary(call, unloading, unload()); err != nil || call.Approval != call.Granted {
			t.Errorf("noted %+v, %v", call.Approval, err)
		}
		r.ask(nil, need(access.ScopeCall))
		call = newCall()
		call.Granted = &access.Approval{Grant: "x", Request: "q"}
		done := r.unary(call, unloading, unload())
		got := r.approve()
		if err := <-done; err != nil || call.Approval.Grant != "x, "+got.Grant || call.Approval.Request != "q, "+got.ID || call.Granted.Grant != "x" {
			t.Errorf("noted %+v, %v", call.Approval, err)
		}
	})
}

func requestOf(t *testing.T, m proto.Message) *wire.Request {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	req := wire.NewRequest(&incoming{ctx: t.Context(), messages: [][]byte{raw}})
	if err := req.Read(wire.NewBudget(wire.BudgetConfig{All: 1 << 20, PerPrincipal: 1 << 20}).Account("p")); err != nil {
		t.Fatal(err)
	}
	return req
}

// incoming is a stream that brings messages; what is sent is counted.
type incoming struct {
	grpc.ServerStream
	ctx      context.Context
	messages [][]byte
	sent     int
}

func (s *incoming) Context() context.Context { return s.ctx }
func (s *incoming) SendMsg(any) error        { s.sent++; return nil }
func (s *incoming) RecvMsg(m any) error {
	if len(s.messages) == 0 {
		return io.EOF
	}
	next := s.messages[0]
	s.messages = s.messages[1:]
	return m.(*wire.Message).Take(wire.FromBytes(next))
}
