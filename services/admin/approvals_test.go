package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

const (
	approve = pb.ApprovalService_Approve_FullMethodName
	deny    = pb.ApprovalService_Deny_FullMethodName
	get     = pb.ApprovalService_GetApproval_FullMethodName
	list    = pb.ApprovalService_ListApprovals_FullMethodName
)

func TestAccessIsAskedForApprovedUsedAndRevoked(t *testing.T) {
	open(t, func(d *desk) {
		bob, carol := bob(), carol()
		id := d.wish(bob, "m")
		seen := ask[*pb.GetApprovalResponse](d, carol, get, &pb.GetApprovalRequest{Id: id}).GetApproval()
		if seen.GetState() != pb.ApprovalState_APPROVAL_STATE_PENDING || !seen.GetMayApprove() || seen.GetReason() != "release" || seen.GetRequester().GetName() != "bob" {
			t.Errorf("carol sees %v", seen)
		}
		if own := ask[*pb.GetApprovalResponse](d, bob, get, &pb.GetApprovalRequest{Id: id}).GetApproval(); own.GetMayApprove() {
			t.Error("bob is told that he may approve his own request")
		}
		can := func() bool {
			return ask[*pb.CanIResponse](d, bob, pb.PolicyService_CanI_FullMethodName, &pb.CanIRequest{Verb: "load", Model: "m"}).GetAllowed()
		}
		if can() {
			t.Error("bob may load before anybody agreed")
		}
		how := ask[*pb.CanIResponse](d, bob, pb.PolicyService_CanI_FullMethodName, &pb.CanIRequest{Verb: "load", Model: "m"}).GetMessage()
		if !strings.Contains(how, "sluice access request load m") {
			t.Errorf("bob is told %q", how)
		}
		answer, call, err := d.try(carol, approve, &pb.ApproveRequest{Id: id, Reason: "go", Duration: durationpb.New(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		grant := answer.(*pb.ApproveResponse).GetGrant()
		if grant.GetState() != pb.GrantState_GRANT_STATE_ACTIVE || grant.GetExpiresAt().AsTime().Sub(grant.GetCreatedAt().AsTime()) != time.Hour {
			t.Errorf("the grant is %v, want an hour", grant)
		}
		if call.Model != "m" || call.Approval == nil || call.Approval.Request != id || call.Approval.Grant != grant.GetId() || !call.Decision.Allowed {
			t.Errorf("the record would say %+v", call)
		}
		synctest.Wait()
		if !can() {
			t.Error("bob may not load after the approval")
		}
		const revoke = pb.GrantService_RevokeGrant_FullMethodName
		d.refused(dana(), revoke, &pb.RevokeGrantRequest{Id: grant.GetId()}, access.NotFound, "not yours to see")
		d.refused(audra(), revoke, &pb.RevokeGrantRequest{Id: grant.GetId()}, access.PermissionDenied, "may not use verb admin")
		gone := ask[*pb.RevokeGrantResponse](d, bob, revoke, &pb.RevokeGrantRequest{Id: grant.GetId(), Reason: "done"}).GetGrant()
		if gone.GetState() != pb.GrantState_GRANT_STATE_REVOKED || gone.GetRevokedBy().GetName() != "bob" || gone.GetRevokeReason() != "done" {
			t.Errorf("the revoked grant is %v", gone)
		}
		synctest.Wait()
		if can() {
			t.Error("bob may load after the grant was revoked")
		}
	})
}

// TestWhoSeesAndDecides is the matrix of people and what they do with bob's request.
func TestWhoSeesAndDecides(t *testing.T) {
	for name, row := range map[string]struct {
		who    *access.Principal
		model  string
		sees   bool
		kind   access.ErrorKind // of approving; 0 is no refusal
		words  string
		denies access.ErrorKind
	}{
		"the requester sees it, can't approve it, and takes it back": {bob(), "m", true, access.PermissionDenied, "", 0},
		"somebody else does not know of it":                          {dana(), "m", false, access.NotFound, "not yours to see", access.NotFound},
		"an approver decides":                                        {carol(), "m", true, 0, "", 0},
		"a program of an approving group sees it and never decides":  {robot(), "m", true, access.PermissionDenied, "", access.PermissionDenied},
		"an auditor sees it and does not decide":                     {audra(), "m", true, access.PermissionDenied, "", access.PermissionDenied},
		"an administrator sees it and does not decide":               {root(), "m", true, access.PermissionDenied, "", access.PermissionDenied},
		"a member of the group needs no role beside":                 {somebody("erin", access.User, "bare"), "m", true, 0, "", 0},
		"a role that denies it takes it from a member":               {somebody("finn", access.User, "half"), "m", true, access.PermissionDenied, "may not use verb approve", access.PermissionDenied},
		"a role that denies it elsewhere does not":                   {somebody("finn", access.User, "half"), "a-m", true, 0, "", access.PermissionDenied},
		"a group of another name is not the group":                   {somebody("gus", access.User, "approvers-not"), "m", false, access.NotFound, "", access.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			open(t, func(d *desk) {
				who := somebody(row.who.Name, row.who.Kind, row.who.Groups...)
				id, other := d.wish(bob(), row.model), d.wish(bob(), "other")
				if _, _, err := d.try(who, get, &pb.GetApprovalRequest{Id: id}); (err == nil) != row.sees {
					t.Errorf("get: %v, want seen %t", err, row.sees)
				}
				found := ask[*pb.ListApprovalsResponse](d, who, list, &pb.ListApprovalsRequest{Model: row.model}).GetApprovals()
				if (len(found) == 1) != row.sees || len(found) > 1 {
					t.Errorf("list gives %d, want seen %t", len(found), row.sees)
				}
				check := func(method string, m proto.Message, kind access.ErrorKind) {
					t.Helper()
					if kind != 0 {
						d.refused(who, method, m, kind, row.words)
					} else if _, _, err := d.try(who, method, m); err != nil {
						t.Errorf("%s: %v", method, err)
					}
				}
				check(approve, &pb.ApproveRequest{Id: id}, row.kind)
				check(deny, &pb.DenyRequest{Id: other}, row.denies)
			})
		})
	}
}

func TestWithoutAPolicyNobodyDecides(t *testing.T) {
	open(t, func(d *desk) {
		id := d.wish(bob(), "m")
		d.options.Policy.Replace(nil)
		d.refused(carol(), approve, &pb.ApproveRequest{Id: id}, access.PermissionDenied, "may not use verb approve")
		d.refused(carol(), deny, &pb.DenyRequest{Id: id}, access.PermissionDenied, "may not use verb approve")
	})
}

func TestWhatIsNotYoursIsToldAsWhatIsNotThere(t *testing.T) {
	open(t, func(d *desk) {
		id := d.wish(bob(), "m")
		grant := ask[*pb.ApproveResponse](d, carol(), approve, &pb.ApproveRequest{Id: id}).GetGrant().GetId()
		missing := "01" + id[2:]
		for method, m := range map[string]func(string) proto.Message{
			get:     func(id string) proto.Message { return &pb.GetApprovalRequest{Id: id} },
			approve: func(id string) proto.Message { return &pb.ApproveRequest{Id: id} },
			deny:    func(id string) proto.Message { return &pb.DenyRequest{Id: id} },
		} {
			_, a, there := d.try(dana(), method, m(id))
			_, b, not := d.try(dana(), method, m(missing))
			if strings.ReplaceAll(fmt.Sprint(there), id, missing) != fmt.Sprint(not) || reasonOf(there) != reasonOf(not) || a.Model != b.Model {
				t.Errorf("%s tells them apart: %v, %v", method, there, not)
			}
		}
		_, _, there := d.try(dana(), pb.GrantService_RevokeGrant_FullMethodName, &pb.RevokeGrantRequest{Id: grant})
		_, _, not := d.try(dana(), pb.GrantService_RevokeGrant_FullMethodName, &pb.RevokeGrantRequest{Id: missing})
		if strings.ReplaceAll(fmt.Sprint(there), grant, missing) != fmt.Sprint(not) {
			t.Errorf("a grant of another is told apart: %v, %v", there, not)
		}
	})
}

func TestApprovingIsBoundToWhatWasLookedAt(t *testing.T) {
	open(t, func(d *desk) {
		id := d.wish(bob(), "m")
		_, _, err := d.try(carol(), approve, &pb.ApproveRequest{Id: id, Digest: strings.Repeat("0", 64)})
		if err == nil {
			t.Fatal("approved with the digest of something else")
		}
		if got := ask[*pb.GetApprovalResponse](d, carol(), get, &pb.GetApprovalRequest{Id: id}).GetApproval(); got.GetState() != pb.ApprovalState_APPROVAL_STATE_PENDING {
			t.Errorf("it is %v after that", got.GetState())
		}
	})
}

func TestListPagesSkipAndRepeatNothing(t *testing.T) {
	open(t, func(d *desk) {
		want := map[string]bool{}
		for i := range 25 {
			want[d.wish(bob(), fmt.Sprint("m", i))] = true
			d.wish(dana(), fmt.Sprint("m", i))
			time.Sleep(time.Millisecond)
		}
		token, pages := "", 0
		for {
			page := ask[*pb.ListApprovalsResponse](d, bob(), list, &pb.ListApprovalsRequest{PageSize: 10, PageToken: token})
			for _, a := range page.GetApprovals() {
				if !want[a.GetId()] {
					t.Errorf("%s is repeated or not bob's", a.GetId())
				}
				delete(want, a.GetId())
			}
			if pages++; page.GetNextPageToken() == "" || pages > 10 {
				break
			}
			token = page.GetNextPageToken()
		}
		if len(want) > 0 || pages != 3 {
			t.Errorf("%d are left out, in %d pages", len(want), pages)
		}
	})
}

func TestBadRequestsAreSaidToBe(t *testing.T) {
	long := strings.Repeat("x", 1000)
	unknown := &pb.GetApprovalRequest{Id: "x"}
	unknown.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1))
	nested := &pb.ExplainRequest{Verb: "load", Subject: &pb.Subject{Groups: []string{"g"}}}
	nested.Subject.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1))
	open(t, func(d *desk) {
		for name, c := range map[string]struct {
			method string
			m      proto.Message
			words  string
		}{
			"a field of another version":     {get, unknown, "does not know"},
			"one inside a field":             {pb.PolicyService_Explain_FullMethodName, nested, "does not know"},
			"no id":                          {get, &pb.GetApprovalRequest{}, "id is missing"},
			"an id without end":              {get, &pb.GetApprovalRequest{Id: long}, "longer than"},
			"an id that moves the cursor":    {get, &pb.GetApprovalRequest{Id: "a\x1b[2J"}, "control characters"},
			"a reason without end":           {approve, &pb.ApproveRequest{Id: "x", Reason: long}, "reason is longer"},
			"a reason that turns text round": {deny, &pb.DenyRequest{Id: "x", Reason: "ok \u202e"}, "control characters"},
			"a grant of no time":             {approve, &pb.ApproveRequest{Id: "x", Duration: durationpb.New(0)}, "must be positive"},
			"a grant of negative time":       {approve, &pb.ApproveRequest{Id: "x", Duration: durationpb.New(-1)}, "must be positive"},
			"a duration that is none":        {approve, &pb.ApproveRequest{Id: "x", Duration: &durationpb.Duration{Seconds: 1, Nanos: -1}}, "must be positive"},
			"a page of less than nothing":    {list, &pb.ListApprovalsRequest{PageSize: -1}, "page_size"},
			"a page of too much":             {list, &pb.ListApprovalsRequest{PageSize: 1001}, "page_size"},
			"a page token made up":           {list, &pb.ListApprovalsRequest{PageToken: "made-up"}, "page_token"},
			"a page token without end":       {list, &pb.ListApprovalsRequest{PageToken: strings.Repeat("QUFB", 10_000)}, "page_token"},
			"a state that is none":           {list, &pb.ListApprovalsRequest{States: []pb.ApprovalState{99}}, "states"},
			"a verb that is none":            {pb.PolicyService_CanI_FullMethodName, &pb.CanIRequest{Verb: "lod"}, "verbs are infer"},
			"a model that walks":             {pb.PolicyService_CanI_FullMethodName, &pb.CanIRequest{Verb: "load", Model: "../m"}, "walks"},
			"access to no verb":              {pb.AccessService_RequestAccess_FullMethodName, &pb.RequestAccessRequest{Model: "m"}, "is not a verb"},
			"glass broken for no reason":     {pb.AccessService_BreakGlass_FullMethodName, &pb.BreakGlassRequest{Verb: "load", Model: "m"}, "reason is missing"},
			"nobody to kill":                 {pb.SessionService_KillSession_FullMethodName, &pb.KillSessionRequest{}, "session_id or principal"},
			"a session kept out":             {pb.SessionService_KillSession_FullMethodName, &pb.KillSessionRequest{Target: &pb.KillSessionRequest_SessionId{SessionId: "x"}, Duration: durationpb.New(time.Hour)}, "set principal"},
			"nobody to lift":                 {pb.SessionService_LiftEnded_FullMethodName, &pb.LiftEndedRequest{}, "id is missing"},
			"half a subject":                 {pb.PolicyService_Explain_FullMethodName, &pb.ExplainRequest{Verb: "load", Subject: &pb.Subject{Issuer: "i"}}, "issuer and subject"},
			"no subject":                     {pb.PolicyService_Explain_FullMethodName, &pb.ExplainRequest{Verb: "load"}, "subject is missing"},
		} {
			t.Log(name)
			d.refused(root(), c.method, c.m, access.Malformed, c.words)
		}
	})
}
