package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/demo/issuer"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/session"
	"github.com/sluice-gateway/sluice/store/storetest"
	"github.com/sluice-gateway/sluice/wire"
)

// bench is a gateway's real chain without its doors: calls are made on it
// directly, so that a test can take a step out and see what is missed.
type bench struct {
	t      testing.TB
	server *Server
	issuer *issuer.Issuer
	// through makes calls another way than on the chain itself.
	through func(c *interceptors.Chain, kind, token string, message proto.Message, handler func() error) error
	log     bytes.Buffer
}

func newBench(t testing.TB) *bench {
	t.Helper()
	return newBenchWith(t, "audit: { sqlite: audit.db, strict: [infer] }") // so that an infer is written down before it is done
}

// newBenchWith is newBench with other settings of the audit log.
func newBenchWith(t testing.TB, audit string) *bench {
	t.Helper()
	b := &bench{t: t}
	h := httptest.NewUnstartedServer(nil)
	iss, err := issuer.New("http://"+h.Listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Config.Handler = iss.Handler()
	h.Start()
	t.Cleanup(h.Close)
	b.issuer = iss
	dir := t.TempDir()
	for name, text := range map[string]string{
		"policy.yaml": `{roles: {viewer: [{models: ["*"], verbs: [infer]}]}, bindings: [{role: viewer, groups: [model-viewer]}],
			guards: [{name: closed, verbs: [infer], models: [guarded], when: "size > 0", deny: "the model is closed"},
				{name: asking, verbs: [infer], models: [asked], approve: {by: [approvers], mode: ask}}],
			masking: [{name: pii, models: [masked], entities: [EMAIL]}]}`,
		"sluice.yaml": `
server: { limits: { in_flight: 1MiB, in_flight_per_principal: 1MiB } }
identity: { oidc: [ { name: demo, issuer: "` + iss.URL() + `", audiences: [sluice] } ] }
backends: [ { name: a, type: triton, addresses: ["127.0.0.1:1"], models: ["*"] } ]
store: { sqlite: kept.db } # which is in memory here
policy: [policy.yaml]
` + audit,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, problems := config.Load(filepath.Join(dir, "sluice.yaml"))
	if cfg == nil {
		t.Fatal(problems)
	}
	kept := storetest.NewMemory()
	t.Cleanup(func() { _ = kept.Close() })
	b.server = newServer(Options{Logger: slog.New(slog.NewTextHandler(&b.log, nil))}, cfg, kept)
	if err := b.server.openAudit(t.Context(), cfg, nil, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.server.closeAudit)
	state, err := b.server.open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.server.take(state)
	t.Cleanup(b.server.close)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.server.approvals.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return b
}

// incoming is a server stream that brings messages, on which everything that is
// sent is forgotten.
type incoming struct {
	grpc.ServerStream
	ctx      context.Context
	messages [][]byte
}

func (s *incoming) Context() context.Context { return s.ctx }
func (s *incoming) SendMsg(any) error        { return nil }
func (s *incoming) SetTrailer(metadata.MD)   {}
func (s *incoming) RecvMsg(m any) error {
	if len(s.messages) == 0 {
		return io.EOF
	}
	next := s.messages[0]
	s.messages = s.messages[1:]
	return m.(*wire.Message).Take(wire.FromBytes(next))
}

// try makes one call on the chain: as somebody, of one of the two kinds, with a
// message, to a handler. A panic that nobody has caught is an error that says so.
func (b *bench) try(c *interceptors.Chain, kind, who string, message proto.Message, handler func() error) (err error) {
	b.t.Helper()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	ctx, token := b.t.Context(), ""
	if who != "" {
		if token, err = b.issuer.Token(who); err != nil {
			b.t.Fatal(err)
		}
		ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+token))
	}
	if b.through != nil {
		return b.through(c, kind, token, message, handler)
	}
	raw, err := proto.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	ss := &incoming{ctx: ctx, messages: [][]byte{raw}}
	if kind == "unary" {
		return c.Unary(inference.GRPCInferenceService_ModelInfer_FullMethodName, func(context.Context, any) (any, error) {
			return &inference.ModelInferResponse{}, handler()
		})(nil, ss)
	}
	return c.Stream(inference.GRPCInferenceService_ModelStreamInfer_FullMethodName, func(_ any, ss grpc.ServerStream) error {
		var m wire.Message
		if err := ss.RecvMsg(&m); err != nil {
			return err
		}
		defer m.Free()
		return handler()
	})(nil, ss)
}

// duties has, for each step, what would be missed without it.
var duties = map[string]func(b *bench, c *interceptors.Chain, kind string) error{
	"recovery": func(b *bench, c *interceptors.Chain, kind string) error {
		err := b.try(c, kind, "bob", simple(nil), func() error { panic("boom") })
		return want(err, codes.Internal, "internal error; the gateway's log says more")
	},
	"telemetry": func(b *bench, c *interceptors.Chain, kind string) error {
		if err := b.try(c, kind, "bob", simple(nil), nothing); err != nil {
			return err
		}
		families, err := b.server.registry.Gather()
		for _, f := range families {
			if f.GetName() == "sluice_calls_total" && len(f.GetMetric()) > 0 {
				return err
			}
		}
		return errors.New("no call was counted")
	},
	"record": func(b *bench, c *interceptors.Chain, kind string) error {
		b.log.Reset()
		if err := b.try(c, kind, "bob", simple(nil), nothing); err != nil {
			return err
		}
		if line := b.log.String(); !strings.Contains(line, "msg=call") || !strings.Contains(line, "name=bob") || !strings.Contains(line, "verdict=allowed") {
			return fmt.Errorf("no line for the call: %q", line)
		}
		return nil
	},
	"identity": func(b *bench, c *interceptors.Chain, kind string) error {
		return want(b.try(c, kind, "", simple(nil), nothing), codes.Unauthenticated, "no token")
	},
	"session": func(b *bench, c *interceptors.Chain, kind string) error {
		who := b.issuer.URL() + "#carol"
		registry := b.server.gate.Registry
		if _, err := registry.Kill(b.t.Context(), session.Order{Principal: who}); err != nil {
			return err
		}
		err := b.try(c, kind, "carol", simple(nil), nothing)
		if lifted := registry.Lift(b.t.Context(), who); lifted != nil {
			return lifted
		}
		return want(err, codes.PermissionDenied, "has been shut out")
	},
	"limits": func(b *bench, c *interceptors.Chain, kind string) error {
		return want(b.try(c, kind, "bob", simple(make([]byte, 2<<20)), nothing), codes.ResourceExhausted, "in flight")
	},
	"policy": func(b *bench, c *interceptors.Chain, kind string) error {
		err := b.try(c, kind, "carol", simple(nil), nothing)
		if refused := new(access.MessageError); kind == "stream" && errors.As(err, &refused) {
			err = interceptors.ToStatus(refused)
		}
		return want(err, codes.PermissionDenied, "may not use verb infer")
	},
	"guards": func(b *bench, c *interceptors.Chain, kind string) error {
		err := b.try(c, kind, "bob", guardedModel(), nothing)
		if refused := new(access.MessageError); kind == "stream" && errors.As(err, &refused) {
			err = interceptors.ToStatus(refused)
		}
		return want(err, codes.PermissionDenied, "the model is closed")
	},
	"approval": func(b *bench, c *interceptors.Chain, kind string) error {
		err := b.try(c, kind, "bob", askedModel(), nothing)
		if refused := new(access.MessageError); kind == "stream" && errors.As(err, &refused) {
			err = interceptors.ToStatus(refused)
		}
		return want(err, codes.FailedPrecondition, "needs approval by group approvers")
	},
	"intent": func(b *bench, c *interceptors.Chain, kind string) error {
		intents := func() (n int) {
			for range b.server.audit.Log().Search(b.t.Context(), audit.Query{Kinds: []audit.Kind{audit.KindIntent}, Model: "simple"}) {
				n++
			}
			return n
		}
		before, meanwhile := intents(), 0
		if err := b.try(c, kind, "bob", simple(nil), func() error { meanwhile = intents(); return nil }); err != nil {
			return err
		}
		if meanwhile != before+1 {
			return fmt.Errorf("%d intents were written when the call went on, want %d", meanwhile, before+1)
		}
		return nil
	},
	"masking": func(b *bench, c *interceptors.Chain, kind string) error {
		err := b.try(c, kind, "bob", maskedModel(), func() error { return status.Error(codes.Internal, unmasked) })
		return want(err, codes.Internal, "[EMAIL] can't be found")
	},
}

// unmasked is what a caller of a masked model may not be told.
const unmasked = "jane.doe@example.com can't be found"

func maskedModel() *inference.ModelInferRequest {
	return &inference.ModelInferRequest{ModelName: "masked"}
}

func askedModel() *inference.ModelInferRequest {
	return &inference.ModelInferRequest{ModelName: "asked"}
}

func guardedModel() *inference.ModelInferRequest {
	return &inference.ModelInferRequest{ModelName: "guarded"}
}

func simple(raw []byte) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{ModelName: "simple", RawInputContents: [][]byte{raw}}
}

func nothing() error { return nil }

func want(err error, code codes.Code, text string) error {
	if st := status.Convert(err); st.Code() != code || !strings.Contains(st.Message(), text) {
		return fmt.Errorf("got %w, want %v with %q", err, code, text)
	}
	return nil
}

// TestEachStepIsMissed takes each step out in turn: its duty is done with the
// whole chain, for unary calls and streams, and not done without it.
func TestEachStepIsMissed(t *testing.T) { eachStepIsMissed(t, newBench(t)) }

func eachStepIsMissed(t *testing.T, b *bench) {
	t.Helper()
	whole, err := b.server.Chain()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range strings.Split(interceptors.Order(), ", ") {
		duty := duties[step]
		if duty == nil {
			t.Errorf("step %s has no duty that a test knows", step)
			continue
		}
		for _, kind := range []string{"unary", "stream"} {
			t.Run(step+" "+kind, func(t *testing.T) {
				if err := duty(b, whole, kind); err != nil {
					t.Errorf("with every step: %v", err)
				}
				if err := duty(b, whole.Without(step), kind); err == nil {
					t.Errorf("without %s nothing is missed", step)
				}
			})
		}
	}
}
