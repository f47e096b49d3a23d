package admin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/policy"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/session"
)

const (
	listSessions = pb.SessionService_ListSessions_FullMethodName
	kill         = pb.SessionService_KillSession_FullMethodName
)

// ended is a call that somebody may end.
type ended struct{ why *access.Error }

func (e *ended) End(why *access.Error) { e.why = why }

// live opens a call of who and returns its session.
func (d *desk) live(who *access.Principal) (id string, e *ended) {
	d.t.Helper()
	e = &ended{}
	call, kept := &access.Call{Principal: who, Opened: time.Now(), Door: "grpc", Stream: true}, &session.Call{}
	if err := d.registry.Nowhere().Open(call, kept, e); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { kept.Close(call) })
	return call.Session, e
}

func TestSessionsAreOnesOwnOrAnAdministrators(t *testing.T) {
	open(t, func(d *desk) {
		hers, e := d.live(dana())
		his, _ := d.live(bob())
		ids := func(who *access.Principal, m *pb.ListSessionsRequest) (out []string) {
			for _, s := range ask[*pb.ListSessionsResponse](d, who, listSessions, m).GetSessions() {
				out = append(out, s.GetId())
			}
			return out
		}
		both := []string{hers, his}
		slices.Sort(both)
		for name, c := range map[string]struct {
			who  *access.Principal
			m    *pb.ListSessionsRequest
			want []string
		}{
			"everybody sees his own":      {bob(), &pb.ListSessionsRequest{}, []string{his}},
			"and nobody else's by asking": {bob(), &pb.ListSessionsRequest{Principal: dana().ID()}, nil},
			"an auditor too":              {audra(), &pb.ListSessionsRequest{}, nil},
			"an administrator sees all":   {root(), &pb.ListSessionsRequest{}, both},
			"of one principal":            {root(), &pb.ListSessionsRequest{Principal: dana().ID()}, []string{hers}},
			"or his own":                  {root(), &pb.ListSessionsRequest{Mine: true}, nil},
		} {
			if got := ids(c.who, c.m); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
		bySession := func(id string) *pb.KillSessionRequest {
			return &pb.KillSessionRequest{Target: &pb.KillSessionRequest_SessionId{SessionId: id}}
		}
		d.refused(bob(), kill, bySession(hers), access.PermissionDenied, "may not use verb admin")
		d.refused(bob(), kill, bySession("made-up"), access.PermissionDenied, "may not use verb admin")
		d.refused(bob(), kill, &pb.KillSessionRequest{Target: &pb.KillSessionRequest_Principal{Principal: bob().ID()}}, access.PermissionDenied, "may not use verb admin")
		if n := ask[*pb.KillSessionResponse](d, bob(), kill, bySession(his)).GetKilled(); n != 1 {
			t.Errorf("bob ended %d of his own", n)
		}
		out := ask[*pb.KillSessionResponse](d, root(), kill, &pb.KillSessionRequest{
			Target: &pb.KillSessionRequest_Principal{Principal: dana().ID()}, Duration: durationpb.New(time.Hour), Reason: "offboarded",
		})
		if out.GetKilled() != 1 || e.why == nil || out.GetEnded().GetExpiresAt().AsTime().Sub(out.GetEnded().GetEndedAt().AsTime()) != time.Hour {
			t.Errorf("killing dana: %v, her call %v", out, e.why)
		}
		list := ask[*pb.ListEndedResponse](d, root(), pb.SessionService_ListEnded_FullMethodName, &pb.ListEndedRequest{}).GetEnded()
		if len(list) != 1 || list[0].GetId() != dana().ID() || list[0].GetReason() != "offboarded" || list[0].GetEndedBy().GetName() != "root" {
			t.Errorf("shut out are %v", list)
		}
		ask[*pb.LiftEndedResponse](d, root(), pb.SessionService_LiftEnded_FullMethodName, &pb.LiftEndedRequest{Id: dana().ID()})
		d.refused(root(), pb.SessionService_LiftEnded_FullMethodName, &pb.LiftEndedRequest{Id: dana().ID()}, access.NotFound, "is not shut out")
	})
}

func TestSecretsGoInAndDoNotComeOut(t *testing.T) {
	const put, rotate, remove, list = pb.SecretService_PutSecret_FullMethodName, pb.SecretService_RotateSecret_FullMethodName,
		pb.SecretService_DeleteSecret_FullMethodName, pb.SecretService_ListSecrets_FullMethodName
	open(t, func(d *desk) {
		value := []byte("hunter2-hunter2")
		made := ask[*pb.PutSecretResponse](d, root(), put, &pb.PutSecretRequest{Id: "gpu-token", Value: value, Kind: "bearer"}).GetSecret()
		if made.GetId() != "gpu-token" || made.GetKind() != "bearer" || made.GetChangedBy().GetName() != "root" {
			t.Errorf("put gives %v", made)
		}
		if strings.Contains(string(value), "hunter2") {
			t.Error("the value is left in memory")
		}
		again := &pb.PutSecretRequest{Id: "gpu-token", Value: []byte("other"), Kind: "bearer"}
		if _, _, err := d.try(root(), put, again); reasonOf(err) != access.ReasonConflict {
			t.Errorf("put twice: %v", err)
		}
		if v := ask[*pb.RotateSecretResponse](d, root(), rotate, &pb.RotateSecretRequest{Id: "gpu-token", Value: []byte("next-next")}).GetSecret().GetVersion(); v <= made.GetVersion() {
			t.Errorf("rotated to version %d", v)
		}
		for i := range 4 {
			ask[*pb.PutSecretResponse](d, root(), put, &pb.PutSecretRequest{Id: fmt.Sprint("s", i), Value: []byte("x")})
		}
		first := ask[*pb.ListSecretsResponse](d, root(), list, &pb.ListSecretsRequest{PageSize: 3})
		rest := ask[*pb.ListSecretsResponse](d, root(), list, &pb.ListSecretsRequest{PageSize: 3, PageToken: first.GetNextPageToken()})
		if len(first.GetSecrets()) != 3 || len(rest.GetSecrets()) != 2 || rest.GetNextPageToken() != "" {
			t.Errorf("pages of %d and %d", len(first.GetSecrets()), len(rest.GetSecrets()))
		}
		ask[*pb.DeleteSecretResponse](d, root(), remove, &pb.DeleteSecretRequest{Id: "gpu-token"})
		for name, c := range map[string]struct {
			method string
			m      proto.Message
			words  string
		}{
			"a name that is a path": {put, &pb.PutSecretRequest{Id: "../x", Value: []byte("v")}, ""},
			"no value":              {put, &pb.PutSecretRequest{Id: "x"}, "value is missing"},
			"a kind that is none":   {put, &pb.PutSecretRequest{Id: "x", Value: []byte("v"), Kind: "magic"}, "kinds are"},
			"a value without end":   {put, &pb.PutSecretRequest{Id: "x", Value: make([]byte, secret.MaxValue+1)}, "more than"},
			"another without end":   {rotate, &pb.RotateSecretRequest{Id: "s1", Value: make([]byte, secret.MaxValue+1)}, "more than"},
		} {
			t.Log(name)
			d.refused(root(), c.method, c.m, access.Malformed, c.words)
		}
	})
}

func TestPolicyIsShownExplainedAndTried(t *testing.T) {
	open(t, func(d *desk) {
		shown := ask[*pb.GetPolicyResponse](d, root(), pb.PolicyService_GetPolicy_FullMethodName, &pb.GetPolicyRequest{})
		if len(shown.GetRoles()) != 5 || len(shown.GetBindings()) != 5 {
			t.Errorf("the policy has %d roles and %d bindings", len(shown.GetRoles()), len(shown.GetBindings()))
		}
		if me := ask[*pb.WhoAmIResponse](d, bob(), pb.IdentityService_WhoAmI_FullMethodName, &pb.WhoAmIRequest{}); me.GetPrincipal().GetId() != "https://issuer#bob" || !slices.Equal(me.GetRoles(), []string{"user"}) {
			t.Errorf("bob is %v", me)
		}
		x := ask[*pb.ExplainResponse](d, root(), pb.PolicyService_Explain_FullMethodName, &pb.ExplainRequest{Subject: &pb.Subject{Groups: []string{"users"}}, Verb: "infer", Model: "m"})
		if !x.GetAllowed() || x.GetRule() != "role user" || len(x.GetEntries()) != 1 || !x.GetEntries()[0].GetDecides() {
			t.Errorf("explained: %v", x)
		}
		if w := ask[*pb.WhoCanResponse](d, root(), pb.PolicyService_WhoCan_FullMethodName, &pb.WhoCanRequest{Verb: "infer", Model: "m"}); !slices.Equal(w.GetGroups(), []string{"users"}) {
			t.Errorf("who can: %v", w)
		}
		no := ask[*pb.CanIResponse](d, bob(), pb.PolicyService_CanI_FullMethodName, &pb.CanIRequest{Verb: "approve", Model: "m"})
		if no.GetAllowed() || no.GetReason() != access.ReasonNoRole || !strings.Contains(no.GetMessage(), "ask for role approver") {
			t.Errorf("can bob approve: %v", no)
		}
	})
}

func TestADryRunSaysWhatWouldChange(t *testing.T) {
	const dryRun = pb.PolicyService_DryRun_FullMethodName
	open(t, func(d *desk) {
		files := []*pb.PolicyFile{{Name: "p.yaml", Text: "roles: {}"}}
		calls := []*pb.DryRunCall{
			{Id: "1", Subject: &pb.Subject{Groups: []string{"users"}}, Verb: "infer", Model: "m"},
			{Id: "2", Subject: &pb.Subject{Groups: []string{"nobody"}}, Verb: "infer", Model: "m"},
		}
		d.refused(root(), dryRun, &pb.DryRunRequest{Files: files}, access.Unimplemented, "not served")
		d.options.Compile = func(files []*pb.PolicyFile) (*policy.Policy, []*pb.PolicyProblem) {
			if files[0].GetText() == "bad" {
				return nil, []*pb.PolicyProblem{{Place: "p.yaml:1:1", Message: "bad"}}
			}
			p, _ := policy.Compile(nil, policy.Options{})
			return p, nil
		}
		d.use(d.options)
		out := ask[*pb.DryRunResponse](d, root(), dryRun, &pb.DryRunRequest{Files: files, Calls: calls})
		if out.GetCalls() != 2 || len(out.GetChanges()) != 1 || out.GetChanges()[0].GetCall().GetId() != "1" || !out.GetChanges()[0].GetBefore().GetAllowed() || out.GetChanges()[0].GetAfter().GetAllowed() {
			t.Errorf("dry run: %v", out)
		}
		bad := ask[*pb.DryRunResponse](d, root(), dryRun, &pb.DryRunRequest{Files: []*pb.PolicyFile{{Name: "p.yaml", Text: "bad"}}, Calls: calls})
		if len(bad.GetProblems()) != 1 || bad.GetCalls() != 0 {
			t.Errorf("a bad policy: %v", bad)
		}
		d.refused(root(), dryRun, &pb.DryRunRequest{Calls: calls}, access.Malformed, "files must be")
		d.refused(root(), dryRun, &pb.DryRunRequest{Files: files, Calls: make([]*pb.DryRunCall, 10_001)}, access.Malformed, "more than 10000")
		d.refused(root(), dryRun, &pb.DryRunRequest{Files: files, Calls: []*pb.DryRunCall{{Verb: "x"}}}, access.Malformed, "calls[0]")
		if !d.options.Policy.Decide(bob(), access.Infer, "m").Allowed {
			t.Error("the dry run has changed the policy")
		}
	})
}

func TestWhatNeedsAStoreSaysSo(t *testing.T) {
	open(t, func(d *desk) {
		d.options.Approvals, d.options.Secrets = nil, nil
		d.use(d.options)
		for method, m := range map[string]proto.Message{
			list: &pb.ListApprovalsRequest{}, get: &pb.GetApprovalRequest{Id: "x"}, approve: &pb.ApproveRequest{Id: "x"}, deny: &pb.DenyRequest{Id: "x"},
			pb.AccessService_RequestAccess_FullMethodName: &pb.RequestAccessRequest{Verb: "load", Model: "m"},
			pb.AccessService_BreakGlass_FullMethodName:    &pb.BreakGlassRequest{Verb: "load", Model: "m", Reason: "r"},
			pb.GrantService_ListGrants_FullMethodName:     &pb.ListGrantsRequest{},
			pb.GrantService_RevokeGrant_FullMethodName:    &pb.RevokeGrantRequest{Id: "x"},
			pb.SecretService_PutSecret_FullMethodName:     &pb.PutSecretRequest{Id: "a-secret", Value: []byte("v")},
			pb.SecretService_ListSecrets_FullMethodName:   &pb.ListSecretsRequest{},
		} {
			words := "no store"
			if strings.Contains(method, "Secret") {
				words = "no key to seal"
			}
			d.refused(root(), method, m, access.Unavailable, words)
		}
		_, over := d.watch(d.t.Context(), root(), &pb.WatchApprovalsRequest{})
		if e, _ := access.AsError(<-over); e == nil || e.Kind != access.Unavailable {
			t.Errorf("a watch: %v", e)
		}
		d.refused(root(), pb.SecretService_RevealTokens_FullMethodName, &pb.RevealTokensRequest{Tokens: []string{"x"}}, access.Unimplemented, "tokens")
	})
}

func TestGlassIsBrokenByWhoMayAndMarked(t *testing.T) {
	open(t, func(d *desk) {
		const method = pb.AccessService_BreakGlass_FullMethodName
		m := &pb.BreakGlassRequest{Verb: "unload", Model: "prod", Reason: "the house is on fire", Duration: durationpb.New(10 * time.Minute)}
		answer, call, err := d.try(root(), method, m)
		if err != nil {
			t.Fatal(err)
		}
		g := answer.(*pb.BreakGlassResponse).GetGrant()
		if !g.GetBreakGlass() || g.GetPrincipal().GetName() != "root" || !call.Approval.BreakGlass || call.Approval.Grant != g.GetId() {
			t.Errorf("the grant is %v, the record %+v", g, call.Approval)
		}
		d.refused(bob(), method, m, access.PermissionDenied, "")
		synctest.Wait()
		all := ask[*pb.ListGrantsResponse](d, audra(), pb.GrantService_ListGrants_FullMethodName, &pb.ListGrantsRequest{States: []pb.GrantState{pb.GrantState_GRANT_STATE_ACTIVE}}).GetGrants()
		if len(all) != 1 {
			t.Errorf("an auditor sees %v", all)
		}
		none := ask[*pb.ListGrantsResponse](d, bob(), pb.GrantService_ListGrants_FullMethodName, &pb.ListGrantsRequest{Principal: g.GetPrincipal().GetId()}).GetGrants()
		if len(none) != 0 {
			t.Errorf("bob sees %v", none)
		}
	})
}
