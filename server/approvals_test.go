package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/access/accesstest"
	"github.com/sluice-gateway/sluice/gen/inference"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// rolesOfApprovals let alice do everything, and have carol asked about some of it.
const rolesOfApprovals = `
roles:
  admin: [ { models: ["*"], verbs: ["*", admin, break_glass] } ]
  approver: [ { models: ["*"], verbs: [approve] } ]
  user: [ { models: [simple, "simple_*", repeat_int32, "prod-*"], verbs: [infer, describe, list] } ]
bindings:
  - { role: admin, groups: [model-admin] }
  - { role: approver, groups: [approvers] }
  - { role: user, groups: [model-viewer] }
access:
  - { models: ["*"], verbs: [infer, unload], for: [model-viewer], by: [approvers], max: 4h }
guards:
  - { name: unload-prod, verbs: [unload], models: ["prod-*"], approve: { by: [approvers], uses: 2 } }
  - { name: pushed, verbs: [load_override], approve: { by: [approvers], reason: required, mode: ask } }
  - { name: repeated, verbs: [infer], models: [repeat_int32, simple_identity], approve: { by: [approvers], scope: model } }
`

// floor is a gateway where calls are held, and those who let them go.
type floor struct {
	*gateway
	approvals pb.ApprovalServiceClient
	grants    pb.GrantServiceClient
	access    pb.AccessServiceClient
	watch     pb.ApprovalService_WatchApprovalsClient
}

func openFloor(t *testing.T, store string) *floor {
	t.Helper()
	if store == "" {
		store = fmt.Sprintf("{ sqlite: %q }", t.TempDir()+"/sluice.db")
	}
	f := &floor{gateway: start(t, setup{policy: rolesOfApprovals, extra: "store: " + store + "\n"})}
	f.connect()
	return f
}

// connect opens the console, and a watch of carol's on it.
func (f *floor) connect() {
	f.t.Helper()
	conn := f.dialConsole()
	f.approvals, f.grants, f.access = pb.NewApprovalServiceClient(conn), pb.NewGrantServiceClient(conn), pb.NewAccessServiceClient(conn)
	ctx, cancel := context.WithCancel(f.as("carol"))
	f.t.Cleanup(cancel)
	var err error
	if f.watch, err = f.approvals.WatchApprovals(ctx, &pb.WatchApprovalsRequest{}); err != nil {
		f.t.Fatal(err)
	}
}

// asked waits for the next request that carol hears of in that state.
func (f *floor) asked(state pb.ApprovalState) *pb.Approval {
	f.t.Helper()
	for {
		got, err := f.watch.Recv()
		if err != nil {
			f.t.Fatal(err)
		}
		if got.GetApproval().GetState() == state {
			return got.GetApproval()
		}
	}
}

func (f *floor) pending() *pb.Approval {
	f.t.Helper()
	return f.asked(pb.ApprovalState_APPROVAL_STATE_PENDING)
}

func (f *floor) approve(id string) *pb.Approval {
	f.t.Helper()
	got, err := f.approvals.Approve(f.as("carol"), &pb.ApproveRequest{Id: id, Reason: "looks right"})
	if err != nil {
		f.t.Fatal(err)
	}
	return got.GetApproval()
}

// unload is alice's call, in the background.
func (f *floor) unload(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := f.RepositoryModelUnload(ctx, &inference.RepositoryModelUnloadRequest{ModelName: "prod-simple"})
		done <- err
	}()
	return done
}

func mustPass(t *testing.T, done <-chan error) {
	t.Helper()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAnUnloadOfProductionWaitsForASecondPerson(t *testing.T) {
	f := openFloor(t, "")
	call := f.unload(metadata.AppendToOutgoingContext(f.as("alice"), "sluice-reason", "rollback", "sluice-ticket", "OPS-1"))
	request := f.pending()
	if request.GetGuard() != "unload-prod" || request.GetReason() != "rollback" || request.GetTicket() != "OPS-1" || request.GetBackend() != "models" ||
		request.GetRpc() != "RepositoryModelUnload" || request.GetClientAddress() != "127.0.0.1" || request.GetSessionId() == "" {
		t.Errorf("carol is asked %v", request)
	}
	_, err := f.approvals.Approve(f.as("alice"), &pb.ApproveRequest{Id: request.GetId(), Reason: "it is mine"})
	wantRefusal(t, err, codes.PermissionDenied, access.ReasonNotApprover)
	select {
	case err := <-call:
		t.Fatalf("the call ended with %v before anybody approved", err)
	default:
	}
	f.approve(request.GetId())
	mustPass(t, call)
	mustPass(t, f.unload(f.as("alice"))) // within the grant, at once
	third := f.unload(f.as("alice"))     // after it
	again := f.pending()
	if again.GetId() == request.GetId() {
		t.Error("the request is asked again")
	}
	if _, err := f.approvals.Deny(f.as("carol"), &pb.DenyRequest{Id: again.GetId(), Reason: "enough"}); err != nil {
		t.Fatal(err)
	}
	err = <-third
	wantRefusal(t, err, codes.FailedPrecondition, access.ReasonApprovalDenied)
	if !strings.Contains(err.Error(), "enough") || !strings.Contains(err.Error(), again.GetId()) {
		t.Errorf("alice is told %v", err)
	}
	if log := f.Log.String(); !strings.Contains(log, request.GetId()) {
		t.Error("the log does not name the request")
	}
}

func TestAHeldCallEndsWithItsClient(t *testing.T) {
	f := openFloor(t, "")
	ctx, cancel := context.WithCancel(f.as("alice"))
	call := f.unload(ctx)
	f.pending()
	cancel()
	if err := <-call; status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	// The answer comes a quarter of a second before the deadline at most, and on a
	// busy machine may miss it.
	var err error
	for tries := 0; tries < 10 && (tries == 0 || status.Code(err) == codes.DeadlineExceeded); tries++ {
		ctx, cancel := context.WithTimeout(f.as("alice"), 1500*time.Millisecond)
		err = <-f.unload(ctx)
		cancel()
	}
	wantRefusal(t, err, codes.FailedPrecondition, access.ReasonNeedsApproval)
}

func TestWhatIsApprovedIsWhatRuns(t *testing.T) {
	f := openFloor(t, "")
	load := func(weights, reason string) error {
		ctx := f.as("alice")
		if reason != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "sluice-reason", reason)
		}
		_, err := f.RepositoryModelLoad(ctx, &inference.RepositoryModelLoadRequest{ModelName: "simple", Parameters: map[string]*inference.ModelRepositoryParameter{
			"config":         {ParameterChoice: &inference.ModelRepositoryParameter_StringParam{StringParam: "{}"}},
			"file:1/weights": {ParameterChoice: &inference.ModelRepositoryParameter_BytesParam{BytesParam: []byte(weights)}},
		}})
		return err
	}
	wantRefusal(t, load("good", ""), codes.FailedPrecondition, access.ReasonApprovalTerms)
	err := load("good", "release")
	wantRefusal(t, err, codes.FailedPrecondition, access.ReasonNeedsApproval)
	request := f.pending()
	if !strings.Contains(err.Error(), "sluice approvals show "+request.GetId()) {
		t.Errorf("alice is told %v", err)
	}
	parts := fmt.Sprint(request.GetCoverage().GetParts())
	for _, want := range []string{"COVERED_PART_KIND_FILE", "file:1/weights", "size_bytes:4", "COVERED_PART_KIND_CONFIG"} {
		if !strings.Contains(strings.ReplaceAll(parts, "  ", " "), want) {
			t.Errorf("carol does not see %s in %s", want, parts)
		}
	}
	f.approve(request.GetId())
	wantRefusal(t, load("evil", "release"), codes.FailedPrecondition, access.ReasonNeedsApproval)
	if err := load("good", "release"); reasonOf(err) != "" {
		t.Errorf("what was approved is refused: %v", err) // the demo's server itself may not want it
	}
}

func TestOverRESTAHeldCallWaitsToo(t *testing.T) {
	f := openFloor(t, "")
	type answer struct {
		code int
		text string
	}
	done := make(chan answer, 1)
	post := func(timeout string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.REST+"/v2/repository/models/prod-simple/unload", strings.NewReader("{}"))
		if err != nil {
			t.Error(err)
		}
		req.Header.Set("Authorization", "Bearer "+f.Token("alice"))
		req.Header.Set("Sluice-Reason", "rollback")
		if timeout != "" {
			req.Header.Set("Grpc-Timeout", timeout)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			done <- answer{0, err.Error()}
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		done <- answer{resp.StatusCode, resp.Header.Get("Sluice-Reason") + " " + string(text)}
	}
	go post("")
	request := f.pending()
	if request.GetReason() != "rollback" {
		t.Errorf("asked with %q", request.GetReason())
	}
	if _, err := f.approvals.Deny(f.as("carol"), &pb.DenyRequest{Id: request.GetId(), Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.code != http.StatusConflict || !strings.Contains(got.text, access.ReasonApprovalDenied) || !strings.Contains(got.text, request.GetId()) {
		t.Errorf("got %+v, want 409 with the request's id", got)
	}
}

func repeats(id string, values ...int32) *inference.ModelInferRequest {
	n := int64(len(values))
	tensor := func(name, datatype string, shape []int64, c *inference.InferTensorContents) *inference.ModelInferRequest_InferInputTensor {
		return &inference.ModelInferRequest_InferInputTensor{Name: name, Datatype: datatype, Shape: shape, Contents: c}
	}
	delays := make([]uint32, n)
	return &inference.ModelInferRequest{ModelName: "repeat_int32", Id: id, Inputs: []*inference.ModelInferRequest_InferInputTensor{
		tensor("IN", "INT32", []int64{n}, &inference.InferTensorContents{IntContents: values}),
		tensor("DELAY", "UINT32", []int64{n}, &inference.InferTensorContents{UintContents: delays}),
		tensor("WAIT", "UINT32", []int64{1}, &inference.InferTensorContents{UintContents: []uint32{0}}),
	}}
}

func TestAHeldMessageStopsReadingAndARevokedGrantCutsTheStream(t *testing.T) {
	f := openFloor(t, "")
	stream, err := f.ModelStreamInfer(f.as("bob"))
	if err != nil {
		t.Fatal(err)
	}
	send := func(m *inference.ModelInferRequest) {
		t.Helper()
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	receive := func(id string) {
		t.Helper()
		got, err := stream.Recv()
		if err != nil || got.GetErrorMessage() != "" || got.GetInferResponse().GetId() != id {
			t.Fatalf("got %v, %v; want an answer to %s", got, err, id)
		}
	}
	send(simpleSum("first"))
	receive("first")
	send(repeats("held", 1, 2))
	send(simpleSum("behind"))
	request := f.pending()
	if request.GetVerb() != "infer" || request.GetModel() != "repeat_int32" {
		t.Errorf("carol is asked %v", request)
	}
	grant := f.approve(request.GetId()).GetGrantId()
	ids := map[string]int{}
	for range 3 { // decoupled answers wait for nobody's
		got, err := stream.Recv()
		if err != nil || got.GetErrorMessage() != "" {
			t.Fatalf("got %v, %v", got, err)
		}
		ids[got.GetInferResponse().GetId()]++
	}
	if ids["held"] != 2 || ids["behind"] != 1 {
		t.Errorf("answers to %v", ids)
	}
	if _, err := f.grants.RevokeGrant(f.as("carol"), &pb.RevokeGrantRequest{Id: grant, Reason: "enough"}); err != nil {
		t.Fatal(err)
	}
	send(simpleSum("last"))
	_, err = stream.Recv()
	wantRefusal(t, err, codes.PermissionDenied, access.ReasonGrantRevoked)
}

func simpleSum(id string) *inference.ModelInferRequest {
	sixteen := &inference.InferTensorContents{IntContents: make([]int32, 16)}
	return &inference.ModelInferRequest{ModelName: "simple", Id: id, Inputs: []*inference.ModelInferRequest_InferInputTensor{
		{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, 16}, Contents: sixteen}, {Name: "INPUT1", Datatype: "INT32", Shape: []int64{1, 16}, Contents: sixteen},
	}}
}

func TestADeniedMessageIsRefusedAloneInItsStream(t *testing.T) {
	f := openFloor(t, "")
	stream, err := f.ModelStreamInfer(f.as("bob"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(repeats("held", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.approvals.Deny(f.as("carol"), &pb.DenyRequest{Id: f.pending().GetId(), Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	got, err := stream.Recv()
	if err != nil || got.GetInferResponse().GetId() != "held" || got.GetInferResponse().GetParameters()["sluice_reason"].GetStringParam() != access.ReasonApprovalDenied {
		t.Errorf("got %v, %v", got, err)
	}
	if err := stream.Send(simpleSum("next")); err != nil {
		t.Fatal(err)
	}
	if got, err = stream.Recv(); err != nil || got.GetInferResponse().GetId() != "next" || got.GetErrorMessage() != "" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAccessThatWasAskedForAhead(t *testing.T) {
	f := openFloor(t, "")
	unload := func() error {
		_, err := f.RepositoryModelUnload(f.as("bob"), &inference.RepositoryModelUnloadRequest{ModelName: "simple"})
		return err
	}
	err := unload()
	wantRefusal(t, err, codes.PermissionDenied, access.ReasonNoRole)
	if !strings.Contains(err.Error(), "sluice access request unload simple") {
		t.Errorf("bob is told %v", err)
	}
	_, err = f.access.RequestAccess(f.as("bob"), &pb.RequestAccessRequest{Verb: "unload", Model: "simple", Duration: durationpb.New(5 * time.Hour), Reason: "moving"})
	wantRefusal(t, err, codes.PermissionDenied, access.ReasonAccessWider)
	asked, err := f.access.RequestAccess(f.as("bob"), &pb.RequestAccessRequest{Verb: "unload", Model: "simple", Duration: durationpb.New(time.Hour), Reason: "moving"})
	if err != nil {
		t.Fatal(err)
	}
	grant := f.approve(asked.GetApproval().GetId()).GetGrantId()
	if err := unload(); err != nil {
		t.Errorf("with a grant: %v", err)
	}
	if _, err := f.grants.RevokeGrant(f.as("bob"), &pb.RevokeGrantRequest{Id: grant}); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, unload(), codes.PermissionDenied, access.ReasonNoRole)
}

func TestBrokenGlassLetsThroughAtOnceAndIsSeen(t *testing.T) {
	f := openFloor(t, "")
	_, err := f.access.BreakGlass(f.as("bob"), &pb.BreakGlassRequest{Verb: "unload", Model: "prod-simple", Reason: "fire"})
	wantRefusal(t, err, codes.PermissionDenied, access.ReasonNoRole)
	if _, err := f.access.BreakGlass(f.as("alice"), &pb.BreakGlassRequest{Verb: "unload", Model: "prod-simple", Reason: "fire"}); err != nil {
		t.Fatal(err)
	}
	mustPass(t, f.unload(f.as("alice")))
	if log := f.Log.String(); !strings.Contains(log, `"level":"WARN","msg":"break-glass"`) {
		t.Error("nobody hears of it")
	}
}

func TestAShutdownTellsHeldCallsTheirRequest(t *testing.T) {
	db := fmt.Sprintf("{ sqlite: %q }", t.TempDir()+"/sluice.db")
	f := openFloor(t, db)
	call := f.unload(f.as("alice"))
	request := f.pending()
	f.end()
	err := <-call
	wantRefusal(t, err, codes.Unavailable, access.ReasonInterrupted)
	if !strings.Contains(err.Error(), request.GetId()) {
		t.Errorf("alice is told %v", err)
	}
	<-f.ended
	f.run()
	f.conn = f.Dial(nil)
	f.GRPCInferenceServiceClient = inference.NewGRPCInferenceServiceClient(f.conn)
	f.connect()
	f.approve(request.GetId())
	mustPass(t, f.unload(f.as("alice")))
}

// TestTwoReplicasOnOnePostgreSQL has the call held on one replica and approved
// on another.
func TestTwoReplicasOnOnePostgreSQL(t *testing.T) {
	pg := pgtest.Start(t)
	t.Setenv("SLUICE_TEST_APPROVALS", pg.Database(t))
	one := openFloor(t, `{ postgres: "${SLUICE_TEST_APPROVALS}" }`)
	two := &gateway{t: t, dir: t.TempDir(), Log: new(accesstest.Log), Pool: one.Pool, reload: one.reload, issuer: one.issuer}
	two.configure(setup{policy: rolesOfApprovals, backend: startModels(t), extra: `store: { postgres: "${SLUICE_TEST_APPROVALS}" }` + "\n"})
	two.run()
	client := inference.NewGRPCInferenceServiceClient(two.Dial(nil))
	done := make(chan error, 1)
	go func() {
		_, err := client.RepositoryModelUnload(two.as("alice"), &inference.RepositoryModelUnloadRequest{ModelName: "prod-simple"})
		done <- err
	}()
	began := time.Now()
	one.approve(one.pending().GetId())
	mustPass(t, done)
	t.Logf("released after %v", time.Since(began))
	mustPass(t, one.unload(one.as("alice"))) // the same grant here
}
