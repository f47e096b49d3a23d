package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access/accesstest"
	"github.com/sluice-gateway/sluice/gen/inference"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

// unload has alice unload a model that a guard holds for approval; over has what came
// of it.
func (g *gateway) unload(model string) (over chan error) {
	over = make(chan error, 1)
	ctx := g.as("alice")
	go func() {
		_, err := g.RepositoryModelUnload(ctx, &inference.RepositoryModelUnloadRequest{ModelName: model})
		over <- err
	}()
	return over
}

// pending waits until there is a request about model that carol may decide.
func (d *desk) pending(model string) *pb.Approval {
	d.t.Helper()
	var found *pb.Approval
	eventually(d.t, "a request about "+model, func() bool {
		page, err := pb.NewApprovalServiceClient(d.admin).ListApprovals(d.as("carol"), &pb.ListApprovalsRequest{Approvable: true, Model: model})
		if err != nil {
			d.t.Fatal(err)
		}
		if len(page.GetApprovals()) > 0 {
			found = page.GetApprovals()[0]
		}
		return found != nil
	})
	return found
}

// held is pending's request once the call waits for it: it is asked for first, and a
// call that looks again after a vote is not counted for a moment.
func (d *desk) held(model string) *pb.Approval {
	d.t.Helper()
	var found *pb.Approval
	eventually(d.t, "a held call about "+model, func() bool {
		found = d.pending(model)
		return found.GetHeldCalls() == 1
	})
	return found
}

func wait(t *testing.T, over <-chan error) error {
	t.Helper()
	select {
	case err := <-over:
		return err
	case <-time.After(time.Minute):
		t.Fatal("it waits still")
		return nil
	}
}

// TestAHeldUnloadGoesOnWhenCarolAgrees over REST; alice can't agree herself, and the
// client has neither changed nor retried.
func TestAHeldUnloadGoesOnWhenCarolAgrees(t *testing.T) {
	d := openDesk(t)
	over := d.unload("prod-simple")
	a := d.held("prod-simple")
	if a.GetRequester().GetName() != "alice" || a.GetVerb() != "unload" || a.GetGuard() != "unload-prod" || a.GetRpc() != "RepositoryModelUnload" ||
		!a.GetMayApprove() || len(a.GetCoverage().GetDigest()) != 64 {
		t.Errorf("carol sees %v", a)
	}
	path := "/v1/approvals/" + a.GetId()
	if code, text, _ := d.ask("alice", "POST", path+":approve", `{"reason":"me"}`); code != 403 {
		t.Errorf("alice approves her own: %d %s", code, text)
	}
	if code, text, _ := d.ask("dana", "POST", path+":approve", `{}`); code != 403 && code != 404 {
		t.Errorf("dana approves: %d %s", code, text)
	}
	if code, text, _ := d.ask("carol", "POST", path+":approve", fmt.Sprintf(`{"reason":"seen","digest":%q}`, strings.Repeat("0", 64))); code == 200 {
		t.Errorf("carol approves something else: %s", text)
	}
	select {
	case err := <-over:
		t.Fatalf("the call went on: %v", err)
	default:
	}
	code, text, _ := d.ask("carol", "POST", path+":approve", fmt.Sprintf(`{"reason":"seen","digest":%q}`, a.GetCoverage().GetDigest()))
	if code != 200 || !strings.Contains(text, `"state":"APPROVAL_STATE_APPROVED"`) || !strings.Contains(text, `"state":"GRANT_STATE_ACTIVE"`) {
		t.Fatalf("carol approves: %d %s", code, text)
	}
	if err := wait(t, over); err != nil {
		t.Errorf("the held call ended with %v", err)
	}
	if err := wait(t, d.unload("prod-simple")); err != nil {
		t.Errorf("another within the grant: %v", err)
	}
	if code, text, _ := d.ask("carol", "POST", path+":approve", `{}`); code == 200 {
		t.Errorf("approved twice: %s", text)
	}
}

// TestAWatchOverRESTIsALineForEachChange, and ends when its session is killed.
func TestAWatchOverRESTIsALineForEachChange(t *testing.T) {
	d := openDesk(t, func(s *setup) { s.cut = true })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.Console+"/v1/approvals:watch?approvable=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+d.Token("carol"))
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/x-ndjson" || resp.Header.Get("X-Request-Id") == "" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	id := d.wish()
	lines := bufio.NewScanner(resp.Body)
	var told struct {
		Approval struct{ ID, State string }
		Error    struct{ Status, Reason string }
	}
	next := func() {
		t.Helper()
		if !lines.Scan() {
			t.Fatal("the stream has ended", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &told); err != nil {
			t.Fatal(err, lines.Text())
		}
	}
	if next(); told.Approval.ID != id || told.Approval.State != "APPROVAL_STATE_PENDING" {
		t.Errorf("told %s", lines.Text())
	}
	if _, err := pb.NewApprovalServiceClient(d.admin).Deny(d.as("carol"), &pb.DenyRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	if next(); told.Approval.State != "APPROVAL_STATE_DENIED" {
		t.Errorf("told %s", lines.Text())
	}
	if _, err := pb.NewSessionServiceClient(d.admin).KillSession(d.as("alice"), &pb.KillSessionRequest{
		Target: &pb.KillSessionRequest_Principal{Principal: d.issuer.URL() + "#carol"}, Reason: "test",
	}); err != nil {
		t.Fatal(err)
	}
	if next(); told.Error.Reason != "SESSION_KILLED" {
		t.Errorf("told %s", lines.Text())
	}
	if lines.Scan() {
		t.Errorf("it goes on: %s", lines.Text())
	}
}

// replica starts another gateway on the same store, for the same people.
func (d *desk) replica(s setup) *desk {
	d.t.Helper()
	g := &gateway{t: d.t, dir: d.t.TempDir(), Log: new(accesstest.Log), Pool: wiretest.NewPool(), reload: make(chan os.Signal), issuer: d.issuer, cut: s.cut}
	g.configure(s)
	g.run()
	g.conn = g.Dial(nil)
	g.GRPCInferenceServiceClient = inference.NewGRPCInferenceServiceClient(g.conn)
	return &desk{gateway: g, admin: g.dialConsole()}
}

// onPostgres makes a desk and a second replica on one PostgreSQL.
func onPostgres(t *testing.T) (one, two *desk) {
	t.Helper()
	t.Setenv("SLUICE_TEST_PG", pgtest.Start(t).Database(t))
	s := setup{policy: rolesOfAdmins, backend: startModels(t), extra: "store: { postgres: \"${SLUICE_TEST_PG}\" }\n", cut: true}
	one = openDesk(t, func(out *setup) { *out = s })
	return one, one.replica(s)
}

// TestTwoReplicasReleaseEachOthersCalls: what is approved at one goes on at the other,
// and who is shut out at one is out at both.
func TestTwoReplicasReleaseEachOthersCalls(t *testing.T) {
	one, two := onPostgres(t)
	over := one.unload("prod-simple")
	a := two.pending("prod-simple")
	if _, err := pb.NewApprovalServiceClient(two.admin).Approve(two.as("carol"), &pb.ApproveRequest{Id: a.GetId()}); err != nil {
		t.Fatal(err)
	}
	approved := time.Now()
	if err := wait(t, over); err != nil {
		t.Fatalf("held on the other replica: %v", err)
	}
	t.Logf("it went on after %v", time.Since(approved))
	if err := wait(t, two.unload("prod-simple")); err != nil {
		t.Errorf("within the grant, on this replica: %v", err)
	}

	stream, err := one.ModelStreamInfer(one.as("bob"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(add("simple")); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	if _, err := pb.NewSessionServiceClient(two.admin).KillSession(two.as("alice"), &pb.KillSessionRequest{
		Target: &pb.KillSessionRequest_Principal{Principal: one.issuer.URL() + "#bob"}, Reason: "offboarded",
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.PermissionDenied || reasonOf(err) != "SESSION_KILLED" {
		t.Errorf("bob's stream ended with %v", err)
	}
	t.Logf("bob was out after %v, want a second", time.Since(killed))
}

// TestTwoReplicasDecideOnce: of an approval at one and a denial at the other one wins,
// and both say which.
func TestTwoReplicasDecideOnce(t *testing.T) {
	one, two := onPostgres(t)
	for range 5 {
		id := one.wish()
		var said sync.WaitGroup
		said.Go(func() {
			_, _ = pb.NewApprovalServiceClient(one.admin).Approve(one.as("carol"), &pb.ApproveRequest{Id: id})
		})
		said.Go(func() {
			_, _ = pb.NewApprovalServiceClient(two.admin).Deny(two.as("carol"), &pb.DenyRequest{Id: id})
		})
		said.Wait()
		a, errA := pb.NewApprovalServiceClient(one.admin).GetApproval(one.as("carol"), &pb.GetApprovalRequest{Id: id})
		b, errB := pb.NewApprovalServiceClient(two.admin).GetApproval(two.as("carol"), &pb.GetApprovalRequest{Id: id})
		if errA != nil || errB != nil || a.GetApproval().GetState() != b.GetApproval().GetState() || a.GetApproval().GetState() == pb.ApprovalState_APPROVAL_STATE_PENDING {
			t.Errorf("one says %v %v, the other %v %v", a.GetApproval().GetState(), errA, b.GetApproval().GetState(), errB)
		}
	}
}

// TestWatchesEndWithTheGateway and do not hold it up for its grace.
func TestWatchesEndWithTheGateway(t *testing.T) {
	d := openDesk(t, func(s *setup) { s.server, s.cut = "  shutdown_grace: 60s\n", true })
	watch, err := pb.NewApprovalServiceClient(d.admin).WatchApprovals(d.as("carol"), &pb.WatchApprovalsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if header, err := watch.Header(); err != nil || len(header.Get("sluice-watch")) == 0 {
		t.Fatal(header, err)
	}
	began := time.Now()
	d.end()
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("ended with %v", err)
	}
	for range d.ended { // closed when Run has returned
	}
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("the gateway took %v to end", took)
	}
}
