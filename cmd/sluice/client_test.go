package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/cmd/sluice/internal/login"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// desk is an admin API that answers as it is told, and remembers what it was asked.
type desk struct {
	pb.UnimplementedApprovalServiceServer
	pb.UnimplementedIdentityServiceServer
	pb.UnimplementedSessionServiceServer

	url      string
	approval *pb.Approval
	err      error
	tokens   []string
	approved []*pb.ApproveRequest
	killed   []*pb.KillSessionRequest
}

func (d *desk) heard(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	d.tokens = append(d.tokens, strings.Join(md["authorization"], ","))
}

func (d *desk) ListApprovals(ctx context.Context, q *pb.ListApprovalsRequest) (*pb.ListApprovalsResponse, error) {
	d.heard(ctx)
	if d.err != nil {
		return nil, d.err
	}
	if q.GetPageToken() == "" {
		return &pb.ListApprovalsResponse{Approvals: []*pb.Approval{d.approval}, NextPageToken: "2"}, nil
	}
	return &pb.ListApprovalsResponse{Approvals: []*pb.Approval{d.approval}}, nil
}

func (d *desk) GetApproval(ctx context.Context, q *pb.GetApprovalRequest) (*pb.GetApprovalResponse, error) {
	d.heard(ctx)
	if q.GetId() != d.approval.GetId() {
		return nil, refused(codes.NotFound, access.ReasonNotFound, "no approval request has this id")
	}
	return &pb.GetApprovalResponse{Approval: d.approval}, nil
}

func (d *desk) Approve(_ context.Context, q *pb.ApproveRequest) (*pb.ApproveResponse, error) {
	d.approved = append(d.approved, q)
	return &pb.ApproveResponse{Approval: d.approval, Grant: &pb.Grant{Id: "g1", ExpiresAt: timestamppb.New(time.Now().Add(time.Hour + time.Minute))}}, d.err
}

func (d *desk) WhoAmI(ctx context.Context, _ *pb.WhoAmIRequest) (*pb.WhoAmIResponse, error) {
	d.heard(ctx)
	return &pb.WhoAmIResponse{Principal: &pb.Principal{Id: "i#bob", Name: "bob\x1b[31m"}, Roles: []string{"viewer"}}, d.err
}

func (d *desk) KillSession(_ context.Context, q *pb.KillSessionRequest) (*pb.KillSessionResponse, error) {
	d.killed = append(d.killed, q)
	return &pb.KillSessionResponse{Killed: 2, Everywhere: true}, d.err
}

func refused(code codes.Code, reason, text string) error {
	st, err := status.New(code, text).WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "sluice"})
	if err != nil {
		return err
	}
	return st.Err()
}

// newDesk serves one, as the program's environment says.
func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{approval: &pb.Approval{
		Id: "a1", State: pb.ApprovalState_APPROVAL_STATE_PENDING, Verb: "unload", Model: "prod-simple", Guard: "unload-prod", Reason: "x\x1b[2J\nFAKE",
		Requester: &pb.Principal{Id: "i#alice", Name: "alice"}, CreatedAt: timestamppb.New(time.Now().Add(-2 * time.Minute)), ExpiresAt: timestamppb.New(time.Now().Add(13*time.Minute + time.Second*30)),
		Terms:    &pb.ApprovalTerms{By: []string{"approvers"}, Count: 1, Grant: durationpb.New(time.Hour)},
		Coverage: &pb.Coverage{Digest: "d1", PartsLeftOut: 3, Parts: []*pb.CoveredPart{{Kind: pb.CoveredPartKind_COVERED_PART_KIND_FILE, Name: "1/model.onnx", SizeBytes: 3 << 20, Sha256: "beef"}}},
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	pb.RegisterApprovalServiceServer(g, d)
	pb.RegisterIdentityServiceServer(g, d)
	pb.RegisterSessionServiceServer(g, d)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })
	d.url = "http://" + l.Addr().String()
	alone(t)
	t.Setenv("SLUICE_SERVER", d.url)
	t.Setenv("SLUICE_TOKEN", "t0")
	return d
}

// alone takes away what the machine's user has kept.
func alone(t *testing.T) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("SLUICE_KEYRING", "off")
	t.Setenv("SLUICE_SERVER", "")
	t.Setenv("SLUICE_TOKEN", "")
}

// typed runs the program.
func typed(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = exitCode(Run(t.Context(), args, strings.NewReader(""), &out, &errs), &errs)
	return out.String(), errs.String(), code
}

func TestWhatIsShownOfAnApproval(t *testing.T) {
	newDesk(t)
	out, errs, code := typed(t, "approvals", "list")
	if code != 0 || errs != "" || strings.Count(out, "a1  ") != 2 || !strings.Contains(out, `x\x1b[2J\nFAKE`) || !strings.Contains(out, "2m ago") || !strings.Contains(out, "in 13m") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	out, errs, code = typed(t, "approvals", "show", "a1")
	for _, want := range []string{"unload prod-simple", "alice (i#alice)", "one person in approvers", "a grant for 1h00m", "1/model.onnx", "3.0 MiB", "beef", "and 3 more parts", "d1"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s%s (%d)", want, out, errs, code)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("a terminal would obey %q", out)
	}
}

func TestAnApprovalIsOfWhatWasLookedAt(t *testing.T) {
	d := newDesk(t)
	out, errs, code := typed(t, "approvals", "approve", "a1", "--reason", "ok")
	if code != 0 || len(d.approved) != 1 || d.approved[0].GetDigest() != "d1" || d.approved[0].GetReason() != "ok" || !strings.HasPrefix(out, "a1 approved: unload prod-simple for alice; grant g1 ends in 1h0") {
		t.Errorf("%d %s %s %v", code, out, errs, d.approved)
	}
	out, errs, code = typed(t, "approvals", "approve", "nope", "a1")
	if code != 1 || len(d.approved) != 2 || !strings.Contains(errs, "nope: no approval request has this id (NOT_FOUND)") || !strings.HasPrefix(out, "a1 approved") {
		t.Errorf("one of two: %d %s %s", code, out, errs)
	}
}

func TestHowAPrincipalIsKilled(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct {
		args []string
		want time.Duration
	}{{nil, 24 * time.Hour}, {[]string{"--for", "1h"}, time.Hour}, {[]string{"--for", "0"}, 0}} {
		_, errs, code := typed(t, append([]string{"sessions", "kill", "--principal", "i#bob"}, c.args...)...)
		last := d.killed[len(d.killed)-1]
		if code != 0 || last.GetPrincipal() != "i#bob" || last.GetDuration().AsDuration() != c.want || (c.want == 0) != (last.GetDuration() == nil) {
			t.Errorf("%v: %d %s %v", c.args, code, errs, last)
		}
	}
}

func TestErrorsInUsersWords(t *testing.T) {
	d := newDesk(t)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a refusal":       {refused(codes.PermissionDenied, access.ReasonNoRole, `may not use verb admin`), "sluice: may not use verb admin (NO_ROLE_ALLOWS)\n"},
		"an old token":    {refused(codes.Unauthenticated, access.ReasonTokenExpired, "the token has expired"), "sluice: the token has expired (TOKEN_EXPIRED); run \"sluice login\", or set SLUICE_TOKEN anew\n"},
		"shut out":        {refused(codes.PermissionDenied, access.ReasonSessionKilled, "shut out"), "sluice: shut out (SESSION_KILLED)\n"},
		"text that moves": {refused(codes.PermissionDenied, access.ReasonNoRole, "a\x1b[2Jb"), "sluice: a\\x1b[2Jb (NO_ROLE_ALLOWS)\n"},
		"something else":  {status.Error(codes.Internal, "boom"), "sluice: Internal: boom\n"},
	} {
		d.err = c.err
		if _, errs, code := typed(t, "approvals", "list"); code != 1 || errs != c.want {
			t.Errorf("%s: %d %q", name, code, errs)
		}
	}
}

func TestServersThatAreNone(t *testing.T) {
	alone(t)
	t.Setenv("SLUICE_TOKEN", "t0")
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	h2c := httptest.NewUnstartedServer(http.NotFoundHandler())
	h2c.Config.Protocols = protocols
	h2c.Start()
	defer h2c.Close()
	for server, want := range map[string]string{
		"http://127.0.0.1:1":                 "no server at http://127.0.0.1:1: is it running? set SLUICE_SERVER",
		web.URL:                              "is not Sluice's admin API",
		h2c.URL:                              "is not Sluice's admin API",
		"127.0.0.1:8003":                     "write a URL such as http://127.0.0.1:8003",
		"ftp://127.0.0.1":                    "write a URL",
		"http://h/path":                      "scheme, host and port only",
		"http://a:b@127.0.0.1":               "scheme, host and port only",
		"http://192.0.2.1:8003":              "anybody on the way could read the token",
		"http://localhost.evil.example:8003": "anybody on the way",
	} {
		t.Setenv("SLUICE_SERVER", server)
		if _, errs, code := typed(t, "whoami"); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%s: %d %q", server, code, errs)
		}
	}
}

// TestATokenGoesToItsServerOnly: neither another port nor another scheme gets it.
func TestATokenGoesToItsServerOnly(t *testing.T) {
	mine, other := newDesk(t), newDesk(t)
	t.Setenv("SLUICE_TOKEN", "")
	if _, err := login.Open().Save(login.Token{Server: mine.url, Access: "kept"}); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := typed(t, "whoami", "--server", mine.url+"/"); code != 0 || mine.tokens[0] != "Bearer kept" {
		t.Errorf("%d %s %v", code, errs, mine.tokens)
	}
	_, errs, code := typed(t, "whoami", "--server", other.url)
	if code != 1 || len(other.tokens) != 0 || !strings.Contains(errs, "not logged in at "+other.url+": run \"sluice login\"") {
		t.Errorf("%d %s %v", code, errs, other.tokens)
	}
	if out, _, code := typed(t, "logout", "--server", mine.url); code != 0 || out != "logged out at "+mine.url+"\n" {
		t.Errorf("%d %s", code, out)
	}
	if out, _, code := typed(t, "logout", "--server", mine.url); code != 0 || !strings.HasPrefix(out, "nobody was logged in") {
		t.Errorf("%d %s", code, out)
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "sluice", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestATokenThatIsNone(t *testing.T) {
	d := newDesk(t)
	t.Setenv("SLUICE_TOKEN", "a b")
	if _, errs, code := typed(t, "whoami"); code != 1 || len(d.tokens) != 0 || !strings.Contains(errs, "no token has") {
		t.Errorf("%d %s", code, errs)
	}
	t.Setenv("SLUICE_TOKEN", " t1\n")
	if out, errs, code := typed(t, "whoami"); code != 0 || d.tokens[0] != "Bearer t1" || !strings.Contains(out, `bob\x1b[31m`) {
		t.Errorf("%d %s %s", code, out, errs)
	}
}
