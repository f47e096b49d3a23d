package policy_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	gate "github.com/sluice-gateway/sluice/interceptors/policy"
	"github.com/sluice-gateway/sluice/policy"
	"github.com/sluice-gateway/sluice/wire"
)

// rig is the step over a policy in which the group of each verb's name may do
// that verb on every model, save that nobody may touch "locked". (A verb that is
// denied on one model is denied on all at once, so those of trace are not.)
type rig struct {
	*gate.Gate
	reached []proto.Message // what got to the handler
	names   []string        // of the regions that it was told to unregister
	answer  any
	failure error
}

func newRig(t *testing.T) *rig {
	t.Helper()
	d := policy.Document{Roles: map[string][]policy.Entry{}}
	for _, v := range access.Verbs() {
		d.Roles[v.String()] = []policy.Entry{{Models: []string{"*"}, Verbs: []string{v.String()}}}
		if v < access.Trace {
			d.Roles[v.String()] = append(d.Roles[v.String()], policy.Entry{Models: []string{"locked"}, Verbs: []string{v.String()}, Deny: true})
		}
		d.Bindings = append(d.Bindings, policy.Binding{Role: v.String(), Groups: []string{v.String()}})
	}
	p, problems := policy.Compile([]policy.File{{Name: "policy.yaml", Document: d}}, policy.Options{})
	if p == nil {
		t.Fatal(problems)
	}
	return &rig{Gate: &gate.Gate{Engine: policy.NewEngine(p), Regions: policy.NewRegions()}}
}

// may is a principal that may do these verbs.
func may(subject string, verbs ...access.Verb) *access.Principal {
	p := &access.Principal{Issuer: "iss", Subject: subject, Name: subject, Expires: time.Unix(1<<40, 0)}
	for _, v := range verbs {
		p.Groups = append(p.Groups, v.String())
	}
	slices.Sort(p.Groups)
	return p
}

// call makes a unary call.
func (r *rig) call(t *testing.T, who *access.Principal, method string, m proto.Message) (any, error) {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	req := wire.NewRequest(&stream{ctx: t.Context(), messages: [][]byte{raw}})
	defer req.Free()
	account := wire.NewBudget(wire.BudgetConfig{}).Account("x")
	defer account.Close()
	if err := req.Read(account); err != nil {
		t.Fatal(err)
	}
	ctx := access.WithCall(t.Context(), &access.Call{Principal: who})
	return r.Step().Unary(ctx, req, &grpc.UnaryServerInfo{FullMethod: "/inference.GRPCInferenceService/" + method}, func(_ context.Context, req any) (any, error) {
		r.reached = append(r.reached, m)
		if un, err := wire.Control[pb.SystemSharedMemoryUnregisterRequest](req.(*wire.Request)); err == nil {
			r.names = append(r.names, un.GetName())
		}
		return r.answer, r.failure
	})
}

type stream struct {
	grpc.ServerStream
	ctx      context.Context
	messages [][]byte
}

func (s *stream) Context() context.Context { return s.ctx }
func (s *stream) SendMsg(any) error        { return nil }
func (s *stream) RecvMsg(m any) error {
	if len(s.messages) == 0 {
		return io.EOF
	}
	next := s.messages[0]
	s.messages = s.messages[1:]
	return m.(*wire.Message).Take(wire.FromBytes(next))
}

func params[T any](key string, value T) map[string]T { return map[string]T{key: value} }

// TestWhatEachRequestAsksFor calls as somebody who may do just that verb, and
// as somebody who may do every other one.
func TestWhatEachRequestAsksFor(t *testing.T) {
	setting := params("trace_rate", &pb.TraceSettingRequest_SettingValue{})
	for _, c := range []struct {
		method  string
		message proto.Message
		verb    access.Verb
	}{
		{"ModelReady", &pb.ModelReadyRequest{Name: "m"}, access.Describe},
		{"ModelMetadata", &pb.ModelMetadataRequest{Name: "m"}, access.Describe},
		{"ModelConfig", &pb.ModelConfigRequest{Name: "m"}, access.Describe},
		{"ModelInfer", &pb.ModelInferRequest{ModelName: "m"}, access.Infer},
		{"ModelStatistics", &pb.ModelStatisticsRequest{Name: "m"}, access.Stats},
		{"ModelStatistics", &pb.ModelStatisticsRequest{}, access.List},
		{"RepositoryIndex", &pb.RepositoryIndexRequest{}, access.List},
		{"RepositoryModelLoad", &pb.RepositoryModelLoadRequest{ModelName: "m"}, access.Load},
		{"RepositoryModelLoad", &pb.RepositoryModelLoadRequest{ModelName: "m", Parameters: params("config", &pb.ModelRepositoryParameter{})}, access.LoadOverride},
		{"RepositoryModelLoad", &pb.RepositoryModelLoadRequest{ModelName: "m", Parameters: params("file:1/model.py", &pb.ModelRepositoryParameter{})}, access.LoadOverride},
		{"RepositoryModelLoad", &pb.RepositoryModelLoadRequest{ModelName: "m", Parameters: params("a key of tomorrow", &pb.ModelRepositoryParameter{})}, access.LoadOverride},
		{"RepositoryModelUnload", &pb.RepositoryModelUnloadRequest{ModelName: "m"}, access.Unload},
		{"TraceSetting", &pb.TraceSettingRequest{}, access.TraceRead},
		{"TraceSetting", &pb.TraceSettingRequest{ModelName: "m"}, access.TraceRead},
		{"TraceSetting", &pb.TraceSettingRequest{ModelName: "m", Settings: setting}, access.Trace},
		{"TraceSetting", &pb.TraceSettingRequest{Settings: setting}, access.Trace},
		{"LogSettings", &pb.LogSettingsRequest{}, access.LogRead},
		{"LogSettings", &pb.LogSettingsRequest{Settings: params("log_info", &pb.LogSettingsRequest_SettingValue{})}, access.Log},
		{"SystemSharedMemoryStatus", &pb.SystemSharedMemoryStatusRequest{}, access.Shm},
		{"SystemSharedMemoryRegister", &pb.SystemSharedMemoryRegisterRequest{Name: "r", Key: "/k"}, access.Shm},
		{"SystemSharedMemoryUnregister", &pb.SystemSharedMemoryUnregisterRequest{}, access.Shm},
		{"CudaSharedMemoryStatus", &pb.CudaSharedMemoryStatusRequest{}, access.Shm},
		{"CudaSharedMemoryRegister", &pb.CudaSharedMemoryRegisterRequest{Name: "c"}, access.Shm},
		{"CudaSharedMemoryUnregister", &pb.CudaSharedMemoryUnregisterRequest{}, access.Shm},
	} {
		t.Run(c.method+" "+c.verb.String(), func(t *testing.T) {
			r := newRig(t)
			if _, err := r.call(t, may("able", c.verb), c.method, c.message); err != nil {
				t.Errorf("who may %s is refused: %v", c.verb, err)
			}
			all := slices.DeleteFunc(access.Verbs(), func(v access.Verb) bool { return v == c.verb })
			_, err := r.call(t, may("all but able", all...), c.method, c.message)
			if e, ok := access.AsError(err); !ok || e.Kind != access.PermissionDenied {
				t.Errorf("who may do all but %s gets %v", c.verb, err)
			}
			if _, err := r.call(t, nil, c.method, c.message); err == nil {
				t.Error("nobody is let through")
			}
		})
	}
}

func TestWhatNoRoleCanAllow(t *testing.T) {
	for _, c := range []struct {
		name, method string
		message      proto.Message
		kind         access.ErrorKind
		reason       string
	}{
		{"an RPC without a rule", "ModelExfiltrate", &pb.ServerLiveRequest{}, access.Unimplemented, access.ReasonUnknownRPC},
		{"a repository's name on load", "RepositoryModelLoad", &pb.RepositoryModelLoadRequest{RepositoryName: "victim", ModelName: "m"}, access.Unimplemented, access.ReasonRepositoryName},
		{"a repository's name on unload", "RepositoryModelUnload", &pb.RepositoryModelUnloadRequest{RepositoryName: "victim", ModelName: "m"}, access.Unimplemented, access.ReasonRepositoryName},
		{"a repository's name on index", "RepositoryIndex", &pb.RepositoryIndexRequest{RepositoryName: "r"}, access.Unimplemented, access.ReasonRepositoryName},
		{"no model's name on infer", "ModelInfer", &pb.ModelInferRequest{}, access.Malformed, access.ReasonModelName},
		{"no model's name on load", "RepositoryModelLoad", &pb.RepositoryModelLoadRequest{}, access.Malformed, access.ReasonModelName},
		{"no model's name on ready", "ModelReady", &pb.ModelReadyRequest{}, access.Malformed, access.ReasonModelName},
		{"a path on load", "RepositoryModelLoad", &pb.RepositoryModelLoadRequest{ModelName: "../../etc"}, access.Malformed, access.ReasonModelName},
		{"a path on trace", "TraceSetting", &pb.TraceSettingRequest{ModelName: "a/../b"}, access.Malformed, access.ReasonModelName},
		{"a path on statistics", "ModelStatistics", &pb.ModelStatisticsRequest{Name: ".."}, access.Malformed, access.ReasonModelName},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			_, err := r.call(t, may("root", access.Verbs()...), c.method, c.message)
			if e, ok := access.AsError(err); !ok || e.Kind != c.kind || e.Reason != c.reason || len(r.reached) > 0 {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestListsHoldWhatTheCallerMaySee(t *testing.T) {
	r := newRig(t)
	r.answer = &pb.RepositoryIndexResponse{Models: []*pb.RepositoryIndexResponse_ModelIndex{{Name: "m"}, {Name: "locked"}, {Name: "n"}}}
	resp, err := r.call(t, may("viewer", access.List), "RepositoryIndex", &pb.RepositoryIndexRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.(*pb.RepositoryIndexResponse).GetModels(); len(got) != 2 || got[0].GetName() != "m" || got[1].GetName() != "n" {
		t.Errorf("index shows %v", got)
	}
	r.answer = &pb.ModelStatisticsResponse{ModelStats: []*pb.ModelStatistics{{Name: "locked"}, {Name: "m"}}}
	if resp, err = r.call(t, may("viewer", access.List), "ModelStatistics", &pb.ModelStatisticsRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := resp.(*pb.ModelStatisticsResponse).GetModelStats(); len(got) != 1 || got[0].GetName() != "m" {
		t.Errorf("statistics show %v", got)
	}
}

func TestAnUnloadAsksForEachDependentToo(t *testing.T) {
	unload := &pb.RepositoryModelUnloadRequest{ModelName: "ensemble", Parameters: params("unload_dependents", &pb.ModelRepositoryParameter{ParameterChoice: &pb.ModelRepositoryParameter_BoolParam{BoolParam: true}})}
	for _, c := range []struct {
		name       string
		dependents []string
		err        error
		allowed    bool
	}{
		{"all may go", []string{"a", "b"}, nil, true},
		{"one may not", []string{"a", "locked"}, nil, false},
		{"nobody can say which", nil, io.ErrUnexpectedEOF, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.Dependents = func(_ context.Context, model string) ([]string, error) {
				if model != "ensemble" {
					t.Errorf("asked about %q", model)
				}
				return c.dependents, c.err
			}
			_, err := r.call(t, may("admin", access.Unload), "RepositoryModelUnload", unload)
			if (err == nil) != c.allowed || (len(r.reached) > 0) != c.allowed {
				t.Errorf("got %v, reached the backend: %v", err, len(r.reached) > 0)
			}
		})
	}
}

// open makes a stream of requests and returns what each read answers.
func (r *rig) open(t *testing.T, who *access.Principal, requests ...*pb.ModelInferRequest) (results []error, heard []access.Message) {
	t.Helper()
	ss := &stream{}
	for _, m := range requests {
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		ss.messages = append(ss.messages, raw)
	}
	ss.ctx = access.WithCall(t.Context(), &access.Call{Principal: who, OnMessage: func(m access.Message) { heard = append(heard, m) }})
	err := r.Step().Stream(nil, ss, &grpc.StreamServerInfo{FullMethod: pb.GRPCInferenceService_ModelStreamInfer_FullMethodName}, func(_ any, ss grpc.ServerStream) error {
		for range requests {
			var m wire.Message
			results = append(results, ss.RecvMsg(&m))
			m.Free()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return results, heard
}

func TestEachMessageOfAStreamIsDecidedByItself(t *testing.T) {
	r := newRig(t)
	results, heard := r.open(t, may("bob", access.Infer),
		&pb.ModelInferRequest{ModelName: "m", Id: "1"}, &pb.ModelInferRequest{ModelName: "locked", Id: "2"}, &pb.ModelInferRequest{ModelName: "a/../b", Id: "3"}, &pb.ModelInferRequest{ModelName: "m", Id: "4"})
	for i, want := range []string{"", access.ReasonDeniedByRole, access.ReasonModelName, ""} {
		var reason, id string
		if refused, ok := results[i].(*access.MessageError); ok {
			reason, id = refused.Err.Reason, refused.ID
		}
		if reason != want || want != "" && id != string(rune('1'+i)) || (results[i] == nil) != (want == "") {
			t.Errorf("message %d: got %v", i+1, results[i])
		}
		if heard[i].ID != string(rune('1'+i)) || (heard[i].Refused == nil) != (want == "") {
			t.Errorf("message %d was recorded as %+v", i+1, heard[i])
		}
	}
}

// TestAnIDThatAServerWouldCut: Triton ends an id at a byte 0, and the answers of
// two requests in flight could then not be told apart.
func TestAnIDThatAServerWouldCut(t *testing.T) {
	results, heard := newRig(t).open(t, may("bob", access.Infer), &pb.ModelInferRequest{ModelName: "m", Id: "1\x002"}, &pb.ModelInferRequest{ModelName: "m", Id: "1"})
	refused, ok := results[0].(*access.MessageError)
	if !ok || refused.Err.Kind != access.Malformed || refused.ID != "1\x002" || heard[0].Refused == nil {
		t.Errorf("got %v", results[0])
	}
	if results[1] != nil {
		t.Errorf("the next one: %v", results[1])
	}
}

func TestAMessageAfterTheTokensEndIsRefused(t *testing.T) {
	r := newRig(t)
	now := time.Unix(1000, 0)
	r.Now = func() time.Time { now = now.Add(10 * time.Second); return now }
	bob := may("bob", access.Infer)
	bob.Expires = time.Unix(1020, 0)
	m := &pb.ModelInferRequest{ModelName: "m"}
	results, _ := r.open(t, bob, m, m, m)
	if results[0] != nil {
		t.Errorf("before its end: %v", results[0])
	}
	for _, err := range results[1:] {
		if e, ok := access.AsError(err); !ok || e.Kind != access.Unauthenticated || e.Reason != access.ReasonTokenExpired {
			t.Errorf("after its end: %v", err)
		}
	}
}

func TestAReloadDecidesTheNextMessage(t *testing.T) {
	r := newRig(t)
	empty, _ := policy.Compile(nil, policy.Options{})
	seen := 0
	r.Now = func() time.Time { // asked once a message: the reload comes between the two
		if seen++; seen == 2 {
			r.Engine.Replace(empty)
		}
		return time.Unix(0, 0)
	}
	m := &pb.ModelInferRequest{ModelName: "m"}
	results, _ := r.open(t, may("bob", access.Infer), m, m)
	if results[0] != nil || results[1] == nil {
		t.Errorf("got %v, want the second message decided by the second policy", results)
	}
}
