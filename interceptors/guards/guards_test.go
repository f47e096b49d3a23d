package guards_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/interceptors/guards"
	policygate "github.com/sluice-gateway/sluice/interceptors/policy"
	"github.com/sluice-gateway/sluice/policy"
	"github.com/sluice-gateway/sluice/policy/guard"
	"github.com/sluice-gateway/sluice/wire"
)

// rig is the step behind a policy that allows everything.
type rig struct {
	outer, inner interceptors.Step
	engine       *guard.Engine
	now          time.Time
	who          *access.Principal
	dependents   []string

	call     *access.Call // of the last call
	needs    []*access.Need
	reached  int
	messages []access.Message
	outcomes []access.GuardOutcome
}

func newRig(t *testing.T, text string) *rig {
	t.Helper()
	r := &rig{engine: new(guard.Engine), now: time.Now(), who: &access.Principal{Issuer: "iss", Subject: "bob", Expires: time.Unix(1<<40, 0)}}
	r.replace(t, text)
	p, problems := policy.Compile([]policy.File{{Document: policy.Document{
		Roles:    map[string][]policy.Entry{"all": {{Models: []string{"*"}, Verbs: []string{"*", "shm"}}}},
		Bindings: []policy.Binding{{Role: "all", Subjects: []string{"iss#bob"}}},
	}}}, policy.Options{})
	if p == nil {
		t.Fatal(problems)
	}
	along := func(context.Context, string) ([]string, error) {
		if r.dependents == nil {
			return nil, errors.New("the backend is away")
		}
		return r.dependents, nil
	}
	regions := policy.NewRegions()
	if _, refused := regions.Claim(r.who, policy.Region{Name: "recorded"}, "/recorded"); refused != nil {
		t.Fatal(refused)
	}
	none := func(context.Context, string) ([]string, error) { return nil, nil }
	r.outer = (&policygate.Gate{Engine: policy.NewEngine(p), Regions: regions, Dependents: none}).Step()
	r.inner = (&guards.Gate{Engine: r.engine, Dependents: along, Now: func() time.Time { return r.now }}).Step()
	return r
}

// replace puts other guards in force.
func (r *rig) replace(t *testing.T, text string) {
	t.Helper()
	r.engine.Replace(compile(t, text))
}

// compile reads guards as a policy file has them.
func compile(t testing.TB, text string) *guard.Policy {
	t.Helper()
	var d guard.Document
	if _, problems := config.Decode("policy.yaml", []byte(text), &d); len(problems) > 0 {
		t.Fatal(problems)
	}
	p, problems := guard.Compile([]guard.File{{Document: d}}, guard.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

func (r *rig) context(t *testing.T) context.Context {
	r.reached, r.needs, r.messages, r.outcomes = 0, nil, nil, nil
	r.call = &access.Call{
		Principal: r.who,
		OnMessage: func(m access.Message) { r.messages = append(r.messages, m) },
		OnGuard:   func(o access.GuardOutcome) { r.outcomes = append(r.outcomes, o) },
	}
	return access.WithCall(t.Context(), r.call)
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// unary makes a unary call.
func (r *rig) unary(t *testing.T, method string, m proto.Message) error {
	t.Helper()
	ctx := r.context(t)
	req := wire.NewRequest(&stream{ctx: ctx, messages: [][]byte{marshal(t, m)}})
	defer req.Free()
	account := wire.NewBudget(wire.BudgetConfig{}).Account("x")
	defer account.Close()
	if err := req.Read(account); err != nil {
		t.Fatal(err)
	}
	info := &grpc.UnaryServerInfo{FullMethod: "/inference.GRPCInferenceService/" + method}
	_, err := r.outer.Unary(ctx, req, info, func(ctx context.Context, req any) (any, error) {
		return r.inner.Unary(ctx, req, info, func(context.Context, any) (any, error) {
			r.reached++
			r.needs = r.call.Needs
			return &pb.ModelInferResponse{}, nil
		})
	})
	return err
}

// stream sends messages on one stream; the last error that is not the end of it is
// returned.
func (r *rig) stream(t *testing.T, all ...proto.Message) (last error) {
	t.Helper()
	ss := &stream{ctx: r.context(t)}
	for _, m := range all {
		ss.messages = append(ss.messages, marshal(t, m))
	}
	info := &grpc.StreamServerInfo{FullMethod: pb.GRPCInferenceService_ModelStreamInfer_FullMethodName}
	err := r.outer.Stream(nil, ss, info, func(srv any, ss grpc.ServerStream) error {
		return r.inner.Stream(srv, ss, info, func(_ any, ss grpc.ServerStream) error {
			for {
				var m wire.Message
				err := ss.RecvMsg(&m)
				m.Free()
				switch {
				case errors.Is(err, io.EOF):
					return nil
				case err != nil:
					last = err
				default:
					r.reached++
					r.needs = r.call.Needs
				}
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return last
}

type stream struct {
	grpc.ServerStream
	ctx      context.Context
	messages [][]byte
}

func (s *stream) Context() context.Context { return s.ctx }
func (s *stream) RecvMsg(m any) error {
	if len(s.messages) == 0 {
		return io.EOF
	}
	next := s.messages[0]
	s.messages = s.messages[1:]
	return m.(*wire.Message).Take(wire.FromBytes(next))
}

// TestCases runs the case file through both forms of the step.
func TestCases(t *testing.T) {
	data, err := os.ReadFile("testdata/cases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Guards any
		Cases  []struct {
			Name, Want, Guard string
			Call              map[string]any
			Needs             []string
			WouldHave         []string `yaml:"would_have"`
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(map[string]any{"guards": file.Guards})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, string(text))
	if len(file.Cases) < 15 {
		t.Fatalf("there are %d cases only", len(file.Cases))
	}
	for _, c := range file.Cases {
		c.Call["verb"] = "infer"
		text, err := json.Marshal(c.Call)
		if err != nil {
			t.Fatal(err)
		}
		var call guard.Recorded
		if err := json.Unmarshal(text, &call); err != nil {
			t.Fatal(err)
		}
		m, err := call.Message()
		if err != nil {
			t.Fatal(err)
		}
		r.now = call.Time
		r.who = &access.Principal{Issuer: "iss", Subject: "bob", Kind: call.Principal.Kind, Groups: call.Principal.Groups, Expires: time.Unix(1<<40, 0)}
		for form, try := range map[string]func() error{
			"unary":  func() error { return r.unary(t, "ModelInfer", m) },
			"stream": func() error { return r.stream(t, m) },
		} {
			t.Run(c.Name+" "+form, func(t *testing.T) {
				got, who := outcome(try(), r)
				if got != c.Want || who != c.Guard {
					t.Errorf("got %s by %q, want %s by %q", got, who, c.Want, c.Guard)
				}
				if (c.Want == "allowed" || c.Want == "held") != (r.reached == 1) {
					t.Errorf("the handler was reached %d times", r.reached)
				}
				var needs, would []string
				for _, n := range r.needs {
					needs = append(needs, n.Guard)
				}
				for _, o := range r.outcomes {
					if strings.HasPrefix(o.Did, "would") {
						would = append(would, o.Guard)
					}
				}
				if !slices.Equal(needs, c.Needs) || !slices.Equal(would, c.WouldHave) {
					t.Errorf("needs %v, would have %v", needs, would)
				}
			})
		}
	}
}

// outcome is what became of the last call, and which guard said no.
func outcome(err error, r *rig) (got, by string) {
	who := r.call.Guard
	if m := new(access.MessageError); errors.As(err, &m) {
		who = r.messages[len(r.messages)-1].Guard
	}
	refused, _ := access.AsError(err)
	switch {
	case refused != nil && refused.Reason == access.ReasonGuard:
		return "denied", who
	case refused != nil && refused.Reason == access.ReasonGuardFailed:
		return "failed", who
	case err != nil:
		return err.Error(), who
	case len(r.needs) > 0:
		return "held", who
	}
	return "allowed", who
}

// TestEachMessageIsAskedAbout: one that is denied takes nothing of the others with
// it, and what one needs is not asked for the next.
func TestEachMessageIsAskedAbout(t *testing.T) {
	r := newRig(t, `guards: [{name: no, verbs: [infer], models: [bad], deny: x}, {name: ask, verbs: [infer], models: [slow], approve: {by: [a]}}]`)
	m := func(model string) proto.Message { return &pb.ModelInferRequest{ModelName: model, Id: "id of " + model} }
	err := r.stream(t, m("slow"), m("good"), m("bad"), m("good"))
	var refused *access.MessageError
	if !errors.As(err, &refused) || refused.ID != "id of bad" || r.reached != 3 {
		t.Errorf("got %v, reached %d", err, r.reached)
	}
	if r.needs != nil {
		t.Errorf("the last message needs %v", r.needs)
	}
	if last := r.messages[len(r.messages)-2]; last.Refused == nil || last.Guard != "no" || last.Model != "bad" || last.Verb != access.Infer {
		t.Errorf("the record hears %+v", last)
	}
	want := []access.GuardOutcome{{Guard: "ask", Did: access.GuardHeld}, {Guard: "no", Did: access.GuardDenied}}
	if !slices.Equal(r.outcomes, want) {
		t.Errorf("metrics hear %v", r.outcomes)
	}
}

// TestWhatOnlyObservesIsHeardOfEachMessage: without a decision of its own, which
// policy has told.
func TestWhatOnlyObservesIsHeardOfEachMessage(t *testing.T) {
	r := newRig(t, `guards: [{name: watch, verbs: [infer], models: [seen], deny: x, observe: true}]`)
	if err := r.stream(t, &pb.ModelInferRequest{ModelName: "seen", Id: "1"}, &pb.ModelInferRequest{ModelName: "other", Id: "2"}); err != nil {
		t.Fatal(err)
	}
	var heard []access.Message
	for _, m := range r.messages {
		if m.WouldHave != nil {
			heard = append(heard, m)
		}
	}
	if len(heard) != 1 || heard[0].ID != "1" || heard[0].Model != "seen" || !slices.Equal(heard[0].WouldHave, []string{"watch"}) || heard[0].Decision != (access.Decision{}) || heard[0].Refused != nil {
		t.Errorf("the record hears %+v", heard)
	}
}

// TestAReloadHoldsForTheNextMessage: a stream that goes on is under the guards of
// the moment.
func TestAReloadHoldsForTheNextMessage(t *testing.T) {
	r := newRig(t, `guards: []`)
	if err := r.unary(t, "ModelInfer", &pb.ModelInferRequest{ModelName: "m"}); err != nil {
		t.Fatal(err)
	}
	r.replace(t, `guards: [{name: g, verbs: [infer], deny: x}]`)
	if err := r.unary(t, "ModelInfer", &pb.ModelInferRequest{ModelName: "m"}); err == nil {
		t.Error("the new guard is not asked")
	}
}

// TestEveryRPCCanBeGuarded: a guard about a verb is asked about each RPC that is
// that verb, and looks at its message.
func TestEveryRPCCanBeGuarded(t *testing.T) {
	settings := map[string]*pb.TraceSettingRequest_SettingValue{"trace_rate": {Value: []string{"1"}}}
	levels := map[string]*pb.LogSettingsRequest_SettingValue{"log_verbose_level": {}}
	for method, c := range map[string]struct {
		verb access.Verb
		m    proto.Message
	}{
		"ModelInfer":                   {access.Infer, &pb.ModelInferRequest{ModelName: "m"}},
		"ModelReady":                   {access.Describe, &pb.ModelReadyRequest{Name: "m"}},
		"ModelMetadata":                {access.Describe, &pb.ModelMetadataRequest{Name: "m"}},
		"ModelConfig":                  {access.Describe, &pb.ModelConfigRequest{Name: "m"}},
		"ModelStatistics":              {access.Stats, &pb.ModelStatisticsRequest{Name: "m"}},
		"RepositoryIndex":              {access.List, &pb.RepositoryIndexRequest{}},
		"RepositoryModelLoad":          {access.Load, &pb.RepositoryModelLoadRequest{ModelName: "m"}},
		"RepositoryModelUnload":        {access.Unload, &pb.RepositoryModelUnloadRequest{ModelName: "m"}},
		"TraceSetting":                 {access.Trace, &pb.TraceSettingRequest{ModelName: "m", Settings: settings}},
		"LogSettings":                  {access.Log, &pb.LogSettingsRequest{Settings: levels}},
		"SystemSharedMemoryStatus":     {access.Shm, &pb.SystemSharedMemoryStatusRequest{}},
		"SystemSharedMemoryRegister":   {access.Shm, &pb.SystemSharedMemoryRegisterRequest{Name: "r", Key: "/k"}},
		"SystemSharedMemoryUnregister": {access.Shm, &pb.SystemSharedMemoryUnregisterRequest{}},
		"CudaSharedMemoryStatus":       {access.Shm, &pb.CudaSharedMemoryStatusRequest{}},
		"CudaSharedMemoryRegister":     {access.Shm, &pb.CudaSharedMemoryRegisterRequest{Name: "r", RawHandle: []byte("h")}},
	} {
		t.Run(method, func(t *testing.T) {
			r := newRig(t, `guards: [{name: g, verbs: [`+c.verb.String()+`], deny: "not today"}]`)
			err := r.unary(t, method, c.m)
			if method == "SystemSharedMemoryUnregister" { // without a name it is one call for each region, of which there are none
				err = r.unary(t, method, &pb.SystemSharedMemoryUnregisterRequest{Name: "r"})
				if e, _ := access.AsError(err); e == nil {
					t.Error("a region of nobody's is unregistered")
				}
				return
			}
			if got, by := outcome(err, r); got != "denied" || by != "g" || r.reached != 0 {
				t.Errorf("got %s by %q: %v", got, by, err)
			}
			if c.verb == access.Infer {
				return // unknown fields go on to the backend, as they do for everybody
			}
			r.replace(t, `guards: [{name: g, verbs: [`+c.verb.String()+`], when: "size > 1000", deny: "not today"}]`)
			if err := r.unary(t, method, c.m); err != nil {
				t.Errorf("a small one: %v", err)
			}
			unknown := proto.Clone(c.m)
			unknown.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 77, protowire.BytesType), "x"))
			if got, _ := outcome(r.unary(t, method, unknown), r); got != "failed" {
				t.Errorf("with a field that nobody knows: %s", got)
			}
		})
	}
}

func TestDependentsAreGuarded(t *testing.T) {
	unload := func(along bool) proto.Message {
		p := &pb.ModelRepositoryParameter{ParameterChoice: &pb.ModelRepositoryParameter_BoolParam{BoolParam: along}}
		return &pb.RepositoryModelUnloadRequest{ModelName: "pipeline", Parameters: map[string]*pb.ModelRepositoryParameter{"unload_dependents": p}}
	}
	r := newRig(t, `guards: [{name: g, verbs: [unload], models: [prod], deny: "it stays"}]`)
	r.dependents = []string{"step", "prod"}
	if got, by := outcome(r.unary(t, "RepositoryModelUnload", unload(true)), r); got != "denied" || by != "g" {
		t.Errorf("with its dependents: %s by %q", got, by)
	}
	if got, _ := outcome(r.unary(t, "RepositoryModelUnload", unload(false)), r); got != "allowed" {
		t.Errorf("without: %s", got)
	}
	r.dependents = nil
	if err := r.unary(t, "RepositoryModelUnload", unload(true)); err == nil {
		t.Error("it is not known what goes along, and the unload goes on")
	}
	r.replace(t, `guards: [{name: g, verbs: [unload], models: [prod], approve: {by: [a]}}]`)
	r.dependents = []string{"prod"}
	if got, _ := outcome(r.unary(t, "RepositoryModelUnload", unload(true)), r); got != "held" || !slices.Equal(r.needs[0].Along, []string{"prod"}) {
		t.Errorf("approval: %s, %v", got, r.needs)
	}
}

// TestWhatIsNoRequest: a step before that hands something else on is a mistake in
// the composition, and lets nothing through.
func TestWhatIsNoRequest(t *testing.T) {
	r := newRig(t, `guards: [{name: g, verbs: [infer], deny: x}]`)
	_, err := r.inner.Unary(r.context(t), "text", &grpc.UnaryServerInfo{}, nil)
	if !errors.Is(err, interceptors.ErrNoRequest) {
		t.Errorf("got %v", err)
	}
	r.call.Verb, r.call.Model = access.Infer, "m"
	if _, err := r.inner.Unary(access.WithCall(t.Context(), r.call), wire.RequestOf(nil), &grpc.UnaryServerInfo{FullMethod: "/x/Y"}, nil); err == nil {
		t.Error("an RPC that guards can't read goes on")
	}
}

// TestReflectionIsGuarded: a stream of one verb is asked about when it is opened.
func TestReflectionIsGuarded(t *testing.T) {
	r := newRig(t, `guards: [{name: g, verbs: [describe], models: ["prod-*"], deny: x}]`)
	ctx := r.context(t)
	info := &grpc.StreamServerInfo{FullMethod: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}
	err := r.outer.Stream(nil, &stream{ctx: ctx}, info, func(srv any, ss grpc.ServerStream) error {
		return r.inner.Stream(srv, ss, info, func(any, grpc.ServerStream) error { return nil })
	})
	if got, _ := outcome(err, r); got != "denied" {
		t.Errorf("got %v", err)
	}
}
