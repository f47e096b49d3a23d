package policy_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	gate "github.com/sluice-gateway/sluice/interceptors/policy"
	"github.com/sluice-gateway/sluice/wire"
)

// grants are what one principal was given: verbs on models, as "verb model".
type grants struct {
	holder string
	given  map[string]bool
	asks   bool
	asked  []string
}

var _ gate.Grants = (*grants)(nil)

func (g *grants) Allows(who *access.Principal, verb access.Verb, model string) *access.Approval {
	what := verb.String() + " " + model
	g.asked = append(g.asked, what)
	if who.Subject != g.holder || !g.given[what] {
		return nil
	}
	return &access.Approval{Grant: "grant of " + what}
}

func (g *grants) Sees(who *access.Principal, model string) bool {
	for what := range g.given {
		if who.Subject == g.holder && strings.HasSuffix(what, " "+model) {
			return true
		}
	}
	return false
}

func (g *grants) MayAsk(*access.Principal, access.Verb, string) bool { return g.asks }

func given(what ...string) *grants {
	g := &grants{holder: "bob", given: make(map[string]bool)}
	for _, w := range what {
		g.given[w] = true
	}
	return g
}

func TestAGrantLetsThroughWhatNoRoleAllows(t *testing.T) {
	unload := func(model string) proto.Message { return &pb.RepositoryModelUnloadRequest{ModelName: model} }
	override := &pb.RepositoryModelLoadRequest{ModelName: "m", Parameters: params("config", &pb.ModelRepositoryParameter{})}
	for _, c := range []struct {
		name    string
		grants  *grants
		who     *access.Principal
		method  string
		message proto.Message
		reason  string
	}{
		{"just that", given("unload m"), may("bob"), "RepositoryModelUnload", unload("m"), ""},
		{"another model", given("unload m"), may("bob"), "RepositoryModelUnload", unload("n"), access.ReasonNoRole},
		{"another verb", given("unload m"), may("bob"), "RepositoryModelLoad", &pb.RepositoryModelLoadRequest{ModelName: "m"}, access.ReasonNoRole},
		{"a load that pushes code, by a grant for loads", given("load m"), may("bob"), "RepositoryModelLoad", override, access.ReasonNoRole},
		{"another principal", given("unload m"), may("eve"), "RepositoryModelUnload", unload("m"), access.ReasonNoRole},
		{"what a role denies", given("unload locked"), may("bob", access.Unload), "RepositoryModelUnload", unload("locked"), access.ReasonDeniedByRole},
		{"the log settings by a grant for a model", given("log m"), may("bob"), "LogSettings", &pb.LogSettingsRequest{Settings: params("log_info", &pb.LogSettingsRequest_SettingValue{})}, access.ReasonNoRole},
		{"an infer in shared memory by a grant for infer", given("infer m"), may("bob"), "ModelInfer", using("input", "r"), access.ReasonNoRole},
		{"nobody at all", given("unload m"), nil, "RepositoryModelUnload", unload("m"), access.ReasonTokenMissing},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.Grants = c.grants
			_, err := r.call(t, c.who, c.method, c.message)
			e, _ := access.AsError(err)
			if c.reason == "" && err != nil || c.reason != "" && (e == nil || e.Reason != c.reason) {
				t.Errorf("got %v, want %q", err, c.reason)
			}
			if (len(r.reached) > 0) != (c.reason == "") {
				t.Errorf("%d calls got through", len(r.reached))
			}
		})
	}
}

func TestGrantsAreNotAskedAboutWhatARoleDecides(t *testing.T) {
	r := newRig(t)
	g := given()
	r.Grants = g
	for _, model := range []string{"m", "locked"} {
		_, _ = r.call(t, may("bob", access.Unload), "RepositoryModelUnload", &pb.RepositoryModelUnloadRequest{ModelName: model})
	}
	if len(g.asked) > 0 {
		t.Errorf("asked for %q", g.asked)
	}
}

func TestARefusalSaysThatOneMayAsk(t *testing.T) {
	for asks, want := range map[bool]bool{true: true, false: false} {
		r := newRig(t)
		g := given()
		g.asks, r.Grants = asks, g
		_, err := r.call(t, may("bob"), "RepositoryModelUnload", &pb.RepositoryModelUnloadRequest{ModelName: "m"})
		if err == nil || strings.Contains(err.Error(), "sluice access request unload m") != want {
			t.Errorf("who may ask: %t is told %v", asks, err)
		}
		_, err = r.call(t, may("bob", access.Unload), "RepositoryModelUnload", &pb.RepositoryModelUnloadRequest{ModelName: "locked"})
		if err == nil || strings.Contains(err.Error(), "sluice access request") {
			t.Errorf("who is denied is told to ask: %v", err)
		}
	}
}

func TestAnUnloadTakesAlongWhatWasGivenAlone(t *testing.T) {
	m := &pb.RepositoryModelUnloadRequest{ModelName: "m", Parameters: params("unload_dependents", &pb.ModelRepositoryParameter{
		ParameterChoice: &pb.ModelRepositoryParameter_BoolParam{BoolParam: true},
	})}
	for name, c := range map[string]struct {
		grants *grants
		passes bool
	}{
		"all were given":    {given("unload m", "unload step"), true},
		"one was not given": {given("unload m"), false},
	} {
		r := newRig(t)
		r.Grants = c.grants
		r.Dependents = func(context.Context, string) ([]string, error) { return []string{"step"}, nil }
		if _, err := r.call(t, may("bob"), "RepositoryModelUnload", m); (err == nil) != c.passes {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAListShowsWhatWasGiven(t *testing.T) {
	r := newRig(t)
	r.Grants = given("infer mine", "infer locked")
	index := func(names ...string) *pb.RepositoryIndexResponse {
		list := &pb.RepositoryIndexResponse{}
		for _, n := range names {
			list.Models = append(list.Models, &pb.RepositoryIndexResponse_ModelIndex{Name: n})
		}
		return list
	}
	// "locked" is given, and listing it is denied.
	who := may("bob", access.List)
	r.answer = index("mine", "locked")
	resp, err := r.call(t, who, "RepositoryIndex", &pb.RepositoryIndexRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if models := resp.(*pb.RepositoryIndexResponse).GetModels(); len(models) != 1 || models[0].GetName() != "mine" {
		t.Errorf("the list shows %v", models)
	}
}

func TestEachMessageOfAStreamIsAskedAboutByItself(t *testing.T) {
	r := newRig(t)
	g := given("infer m")
	r.Grants = g
	call := &access.Call{Principal: may("bob")}
	var told []access.Message
	call.OnMessage = func(m access.Message) { told = append(told, m) }
	in := &stream{ctx: access.WithCall(t.Context(), call)}
	for _, model := range []string{"m", "other", "m"} {
		raw, err := proto.Marshal(&pb.ModelInferRequest{ModelName: model, Id: model})
		if err != nil {
			t.Fatal(err)
		}
		in.messages = append(in.messages, raw)
	}
	info := &grpc.StreamServerInfo{FullMethod: pb.GRPCInferenceService_ModelStreamInfer_FullMethodName}
	err := r.Step().Stream(nil, in, info, func(_ any, ss grpc.ServerStream) error {
		var m wire.Message
		if err := ss.RecvMsg(&m); err != nil || call.Granted == nil || call.Granted.Grant != "grant of infer m" {
			t.Errorf("the first: %v by %+v", err, call.Granted)
		}
		m.Reset()
		refused := new(access.MessageError)
		if err := ss.RecvMsg(&m); !errors.As(err, &refused) || call.Granted != nil {
			t.Errorf("another model: %v by %+v", err, call.Granted)
		}
		m.Reset()
		delete(g.given, "infer m") // revoked
		if err := ss.RecvMsg(&m); !errors.As(err, &refused) || call.Granted != nil {
			t.Errorf("after the grant: %v by %+v", err, call.Granted)
		}
		m.Free()
		return nil
	})
	if err != nil || len(told) != 3 || told[0].Approval == nil || told[0].Decision.Rule != "grant grant of infer m" || told[1].Approval != nil {
		t.Errorf("told %+v, %v", told, err)
	}
}
