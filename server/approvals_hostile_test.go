package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// TestWhoIsShutOutHasApprovedNothing, neither what waits for a second person nor what a
// grant of his still allows.
func TestWhoIsShutOutHasApprovedNothing(t *testing.T) {
	policy := strings.NewReplacer(
		"verbs: [unload], models: [\"prod-*\"], approve: { by: [approvers], uses: 2 }", "verbs: [unload], models: [\"prod-*\"], approve: { by: [approvers, pii-readers], count: 2 }",
		"groups: [approvers] }", "groups: [approvers, pii-readers] }",
	).Replace(rolesOfApprovals)
	f := &floor{gateway: start(t, setup{policy: policy, extra: fmt.Sprintf("store: { sqlite: %q }\n", t.TempDir()+"/sluice.db")})}
	f.connect()
	sessions, carol := pb.NewSessionServiceClient(f.dialConsole()), f.issuer.URL()+"#carol"
	shut := func(out bool) {
		t.Helper()
		var err error
		if out {
			_, err = sessions.KillSession(f.as("alice"), &pb.KillSessionRequest{Target: &pb.KillSessionRequest_Principal{Principal: carol}, Reason: "has left"})
		} else {
			_, err = sessions.LiftEnded(f.as("alice"), &pb.LiftEndedRequest{Id: carol})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	approve := func(as, id string) *pb.Approval {
		t.Helper()
		got, err := f.approvals.Approve(f.as(as), &pb.ApproveRequest{Id: id})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetApproval()
	}
	call := f.unload(f.as("alice"))
	id := f.pending().GetId()
	approve("carol", id)
	shut(true)
	if got := approve("dana", id); got.GetState() != pb.ApprovalState_APPROVAL_STATE_PENDING || len(got.GetDecisions()) != 1 {
		t.Errorf("with carol's vote of before: %v", got)
	}
	eventually(t, "the call to wait on", func() bool {
		got, err := f.approvals.GetApproval(f.as("dana"), &pb.GetApprovalRequest{Id: id})
		return err == nil && got.GetApproval().GetHeldCalls() == 1
	})
	shut(false)
	if got := approve("carol", id); got.GetState() != pb.ApprovalState_APPROVAL_STATE_APPROVED {
		t.Errorf("with carol's vote of now: %v", got)
	}
	mustPass(t, call)
	mustPass(t, f.unload(f.as("alice")))
	shut(true)
	waits := f.unload(f.as("alice")) // the grant has one vote less than it takes
	eventually(t, "another request", func() bool {
		page, err := f.approvals.ListApprovals(f.as("dana"), &pb.ListApprovalsRequest{Approvable: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(waits) > 0 {
			t.Fatalf("the call ended with %v", <-waits)
		}
		return len(page.GetApprovals()) == 1 && page.GetApprovals()[0].GetId() != id && page.GetApprovals()[0].GetHeldCalls() == 1
	})
	shut(false)
	mustPass(t, f.unload(f.as("alice"))) // by the grant
}

// pushes is a load with n files, of which the last is content.
func pushes(n int, content string) *inference.RepositoryModelLoadRequest {
	m := &inference.RepositoryModelLoadRequest{ModelName: "simple", Parameters: map[string]*inference.ModelRepositoryParameter{
		"config": {ParameterChoice: &inference.ModelRepositoryParameter_StringParam{StringParam: "{}"}},
	}}
	for i := range n {
		m.Parameters[fmt.Sprintf("file:1/weights%03d", i)] = &inference.ModelRepositoryParameter{ParameterChoice: &inference.ModelRepositoryParameter_BytesParam{BytesParam: []byte(content)}}
	}
	return m
}

// TestALoadOfManyFilesIsSeenWhole: a list shows the first parts and how many more there
// are, and who gets the request sees each.
func TestALoadOfManyFilesIsSeenWhole(t *testing.T) {
	f := openFloor(t, "")
	_, err := f.RepositoryModelLoad(metadata.AppendToOutgoingContext(f.as("alice"), "sluice-reason", "release"), pushes(100, "good"))
	wantRefusal(t, err, codes.FailedPrecondition, access.ReasonNeedsApproval)
	page, err := f.approvals.ListApprovals(f.as("carol"), &pb.ListApprovalsRequest{})
	if err != nil || len(page.GetApprovals()) != 1 {
		t.Fatal(page, err)
	}
	if cut := page.GetApprovals()[0].GetCoverage(); len(cut.GetParts()) != 32 || cut.GetPartsLeftOut() != 69 {
		t.Errorf("listed are %d parts, and %d more", len(cut.GetParts()), cut.GetPartsLeftOut())
	}
	whole, err := f.approvals.GetApproval(f.as("carol"), &pb.GetApprovalRequest{Id: page.GetApprovals()[0].GetId()})
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, p := range whole.GetApproval().GetCoverage().GetParts() {
		names[p.GetName()] = true
	}
	if len(names) != 101 || !names["file:1/weights099"] || whole.GetApproval().GetCoverage().GetPartsLeftOut() != 0 {
		t.Errorf("%d parts are shown, and %d more", len(names), whole.GetApproval().GetCoverage().GetPartsLeftOut())
	}
}

// TestAThousandRequestsOfOne: some are asked for and the others refused, and nobody else
// notices.
func TestAThousandRequestsOfOne(t *testing.T) {
	const all, most, atOnce = 1000, 100, 8
	f := openFloor(t, "")
	var asked, tooMany atomic.Int64
	var callers sync.WaitGroup
	next := make(chan int, all)
	for i := range all {
		next <- i
	}
	close(next)
	for range atOnce {
		callers.Go(func() {
			for i := range next {
				ctx := metadata.AppendToOutgoingContext(f.as("alice"), "sluice-reason", "release")
				_, err := f.RepositoryModelLoad(ctx, pushes(1, fmt.Sprint(i)))
				for range 100 {
					if reasonOf(err) != access.ReasonStoreAway { // a busy machine keeps it from answering
						break
					}
					_, err = f.RepositoryModelLoad(ctx, pushes(1, fmt.Sprint(i)))
				}
				switch reason := reasonOf(err); {
				case reason == access.ReasonNeedsApproval:
					asked.Add(1)
				case status.Code(err) == codes.ResourceExhausted && reason == access.ReasonApprovalPending:
					tooMany.Add(1)
				default:
					t.Errorf("request %d ends with %v", i, err)
				}
			}
		})
	}
	callers.Wait()
	if n := asked.Load(); n < most || n > most+atOnce || n+tooMany.Load() != all {
		t.Errorf("%d are asked for and %d refused", n, tooMany.Load())
	}
	page, err := f.approvals.ListApprovals(f.as("carol"), &pb.ListApprovalsRequest{PageSize: all})
	if err != nil || int64(len(page.GetApprovals())) != asked.Load() {
		t.Errorf("%d are kept, %v", len(page.GetApprovals()), err)
	}
	if _, err := f.access.RequestAccess(f.as("bob"), &pb.RequestAccessRequest{Verb: "unload", Model: "simple", Reason: "moving"}); err != nil {
		t.Errorf("bob asks: %v", err)
	}
	if _, err := f.ModelInfer(f.as("bob"), add("simple")); err != nil {
		t.Errorf("bob infers: %v", err)
	}
}

// TestPostgreSQLIsRestartedUnderTwoGateways while each holds a call: what needs the store
// is refused, inference and what memory knows go on, and the calls are released once.
func TestPostgreSQLIsRestartedUnderTwoGateways(t *testing.T) {
	pg := pgtest.Start(t)
	t.Setenv("SLUICE_TEST_PG", pg.Database(t))
	s := setup{
		policy:  strings.Replace(rolesOfAdmins, "guards:", "guards:\n  - { name: known, verbs: [unload], models: [known], approve: { by: [approvers] } }", 1),
		backend: startModels(t), extra: "store: { postgres: \"${SLUICE_TEST_PG}\" }\n" + recorded + "\n", cut: true, // recorded elsewhere
	}
	one := openDesk(t, func(out *setup) { *out = s })
	two := one.replica(s)
	carol := pb.NewApprovalServiceClient(one.admin)
	known := one.unload("known")
	if _, err := carol.Approve(one.as("carol"), &pb.ApproveRequest{Id: one.pending("known").GetId()}); err != nil {
		t.Fatal(err)
	}
	if reason := reasonOf(wait(t, known)); reason != "" {
		t.Fatal(reason)
	}
	here, there := one.unload("prod-simple"), two.unload("prod-simple")
	id := one.pending("prod-simple").GetId()
	held := func(d *desk) bool {
		got, err := pb.NewApprovalServiceClient(d.admin).GetApproval(d.as("carol"), &pb.GetApprovalRequest{Id: id})
		return err == nil && got.GetApproval().GetHeldCalls() == 1
	}
	eventually(t, "both calls to be held", func() bool { return held(one) && held(two) })
	if err := pg.Stop(); err != nil {
		t.Fatal(err)
	}
	_, err := carol.Approve(one.as("carol"), &pb.ApproveRequest{Id: id})
	wantRefusal(t, err, codes.Unavailable, access.ReasonStoreAway)
	wantRefusal(t, wait(t, one.unload("prod-other")), codes.Unavailable, access.ReasonStoreAway)
	if _, err := one.ModelInfer(one.as("bob"), add("simple")); err != nil {
		t.Errorf("bob infers: %v", err)
	}
	if reason := reasonOf(wait(t, one.unload("known"))); reason != "" {
		t.Errorf("a grant that was seen just now: %s", reason)
	}
	if len(here)+len(there) > 0 {
		t.Fatal("a held call has ended")
	}
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the approval", func() bool {
		_, err = carol.Approve(one.as("carol"), &pb.ApproveRequest{Id: id})
		return reasonOf(err) != access.ReasonStoreAway
	})
	if reason := reasonOf(err); reason != "" && reason != access.ReasonConflict { // conflict: it was written, and the answer was lost
		t.Fatal(err)
	}
	for _, over := range []chan error{here, there} {
		if err := wait(t, over); err != nil {
			t.Errorf("a held call ended with %v", err)
		}
	}
	grants, err := pb.NewGrantServiceClient(two.admin).ListGrants(two.as("alice"), &pb.ListGrantsRequest{})
	if err != nil || len(grants.GetGrants()) != 2 {
		t.Errorf("grants are %v, %v", grants, err)
	}
}

// TestAPressIsHeardOnce: who replays what Slack has sent decides nothing, and neither does
// he by what it has sent a while ago.
func TestAPressIsHeardOnce(t *testing.T) {
	s := openSlackDesk(t)
	s.link("UC", "carol", "approvers")
	over := s.unload("prod-simple")
	first := s.pending("prod-simple").GetId()
	stamp, body := s.pressed("sluice_deny", "UC", first)
	if code := s.post("hunter3", stamp, body); code != http.StatusOK {
		t.Fatalf("the press: %d", code)
	}
	wantRefusal(t, wait(t, over), codes.FailedPrecondition, access.ReasonApprovalDenied)
	for _, c := range []struct {
		what, stamp string
		code        int
	}{
		{"the same", stamp, http.StatusConflict},
		{"the same with a signature of before", "1000000000", http.StatusUnauthorized},
	} {
		if code := s.post("hunter3", c.stamp, body); code != c.code {
			t.Errorf("%s: %d, want %d", c.what, code, c.code)
		}
	}
	got, err := pb.NewApprovalServiceClient(s.admin).GetApproval(s.as("carol"), &pb.GetApprovalRequest{Id: first})
	if err != nil || got.GetApproval().GetState() != pb.ApprovalState_APPROVAL_STATE_DENIED {
		t.Errorf("the request is %v, %v", got, err)
	}
	denials := 0
	for _, line := range strings.Split(s.Log.String(), "\n") {
		if strings.Contains(line, `"msg":"approval"`) && strings.Contains(line, first) {
			denials++
		}
	}
	if denials != 1 {
		t.Errorf("it was decided %d times", denials)
	}
}

// TestAHeldCallsMessageCounts in the bytes that one principal may have in flight, for as
// long as it is held.
func TestAHeldCallsMessageCounts(t *testing.T) {
	f := &floor{gateway: start(t, setup{
		policy: rolesOfApprovals + "  - { name: large, verbs: [infer], models: [simple], when: \"size > 1000000\", approve: { by: [approvers], scope: model } }\n",
		extra:  fmt.Sprintf("store: { sqlite: %q }\n", t.TempDir()+"/sluice.db"),
		server: "\n  limits: { in_flight: 20MiB, in_flight_per_principal: 5MiB }\n", cut: true, // what is refused is not read
	})}
	f.connect()
	infer := func(bytes int) error {
		_, err := f.ModelInfer(f.as("bob"), sized(bytes))
		return err
	}
	held := make(chan error, 1)
	go func() { held <- infer(4 * mib) }()
	id := f.pending().GetId()
	if err := infer(2 * mib); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("beside what is held: %v", err)
	}
	if _, err := f.ModelInfer(f.as("dana"), add("simple")); err != nil {
		t.Errorf("another principal: %v", err)
	}
	if _, err := f.approvals.Deny(f.as("carol"), &pb.DenyRequest{Id: id, Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, <-held, codes.FailedPrecondition, access.ReasonApprovalDenied)
	eventually(t, "the bytes to be given back", func() bool { return reasonOf(infer(2*mib)) == access.ReasonApprovalDenied })
}

// TestAConnectionOfAHeldCallIsHealthy: it answers pings, and other calls on it go on.
func TestAConnectionOfAHeldCallIsHealthy(t *testing.T) {
	f := openFloor(t, "")
	raw := f.rawClient(t)
	open := func(stream uint32, rpc, as string, m proto.Message) {
		raw.open(stream, "/inference.GRPCInferenceService/"+rpc, false, "authorization", "Bearer "+f.Token(as))
		raw.data(stream, true, framed(0, encoded(t, m)))
	}
	open(1, "RepositoryModelUnload", "alice", &inference.RepositoryModelUnloadRequest{ModelName: "prod-simple"})
	id := f.pending().GetId()
	raw.must(raw.framer.WritePing(false, [8]byte{1}))
	for acked := false; !acked; {
		frame, err := raw.framer.ReadFrame()
		raw.must(err)
		switch x := frame.(type) {
		case *http2.PingFrame:
			acked = x.IsAck() && x.Data == [8]byte{1}
		case *http2.MetaHeadersFrame, *http2.GoAwayFrame:
			t.Fatalf("the connection has %v for a held call", frame)
		}
	}
	open(3, "ModelInfer", "bob", add("simple"))
	if got := raw.answer(3); got.status() != "0" {
		t.Errorf("another call on it: %s %v", got.status(), got.fields)
	}
	f.approve(id)
	if got := raw.answer(1); got.status() != "0" {
		t.Errorf("the held call: %s %v", got.status(), got.fields)
	}
}
