package admin_test

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/policy"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/services/admin"
	"github.com/sluice-gateway/sluice/session"
	"github.com/sluice-gateway/sluice/store/storetest"
	"github.com/sluice-gateway/sluice/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
	os.Exit(0) // not reached: VerifyTestMain exits
}

// desk is a service over real decisions and a store in memory, in a bubble of
// synctest.
type desk struct {
	t *testing.T
	*admin.Service
	store     *storetest.Memory
	approvals *approval.Engine
	registry  *session.Registry
	options   admin.Options
	handlers  map[string]grpc.UnaryHandler
}

// open runs f with a desk.
func open(t *testing.T, f func(d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{t: t, store: storetest.NewMemory()}
		t.Cleanup(func() { _ = d.store.Close() })
		ctx, cancel := context.WithCancel(t.Context())
		d.approvals = approval.New(approval.EngineOptions{
			Store: d.store, Config: approvalConfig(), MayBreakGlass: func(who *access.Principal, _ string) bool { return who.Name == "root" },
		})
		d.approvals.Replace(&approval.Rules{Access: accessRules(t)})
		d.registry = session.New(session.Options{Replica: "here"})
		ran := make(chan struct{})
		go func() { defer close(ran); d.approvals.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-ran })
		ring, err := secret.NewKeyring(secret.NewBytes(make([]byte, secret.KeySize)))
		if err != nil {
			t.Fatal(err)
		}
		d.options = admin.Options{
			Policy: policy.NewEngine(roles(t)), Sessions: d.registry, Approvals: d.approvals,
			Secrets: secret.New(secret.Options{Store: d.store, Ring: ring}),
		}
		d.use(d.options)
		synctest.Wait()
		f(d)
	})
}

// use makes the service anew.
func (d *desk) use(o admin.Options) {
	d.Service = admin.New(o)
	d.handlers = d.Handlers()
}

func approvalConfig() (c approval.Config) {
	c.SetDefaults()
	return c
}

func accessRules(t *testing.T) *approval.Policy {
	t.Helper()
	p, problems := approval.Compile([]approval.File{{Document: approval.Document{Access: []approval.Entry{
		{Models: []string{"*"}, Verbs: []string{"load", "unload"}, For: []string{"users"}, By: []string{"approvers", "robots", "half", "bare"}, Max: 4 * time.Hour},
	}}}}, approval.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

func roles(t *testing.T) *policy.Policy {
	t.Helper()
	allow := func(verbs ...string) []policy.Entry { return []policy.Entry{{Models: []string{"*"}, Verbs: verbs}} }
	p, problems := policy.Compile([]policy.File{{Name: "p.yaml", Document: policy.Document{
		Roles: map[string][]policy.Entry{
			"root": allow("admin", "break_glass", "reveal"), "auditor": allow("audit_read"), "approver": allow("approve"), "user": allow("infer"),
			"half": {{Models: []string{"m", "other"}, Verbs: []string{"approve"}, Deny: true}},
		},
		Bindings: []policy.Binding{
			{Role: "root", Groups: []string{"root"}},
			{Role: "auditor", Groups: []string{"auditors"}},
			{Role: "approver", Groups: []string{"approvers", "robots"}},
			{Role: "user", Groups: []string{"users"}},
			{Role: "half", Groups: []string{"half"}},
		},
	}}}, policy.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// somebody is a principal whose token lasts an hour.
func somebody(name string, kind access.Kind, groups ...string) *access.Principal {
	slices.Sort(groups)
	return &access.Principal{Issuer: "https://issuer", Subject: name, Name: name, Kind: kind, Groups: groups, Expires: time.Now().Add(time.Hour)}
}

// The people of the tests, made anew in each bubble for its clock.
func bob() *access.Principal   { return somebody("bob", access.User, "users") }
func dana() *access.Principal  { return somebody("dana", access.User, "users") }
func carol() *access.Principal { return somebody("carol", access.User, "approvers") }
func root() *access.Principal  { return somebody("root", access.User, "root") }
func audra() *access.Principal { return somebody("audra", access.User, "auditors") }
func robot() *access.Principal { return somebody("robot", access.Service, "robots") }

// try makes one call and gives the answer, the error, and what the record sees.
func (d *desk) try(who *access.Principal, method string, m proto.Message) (proto.Message, *access.Call, error) {
	d.t.Helper()
	call := &access.Call{Principal: who, Opened: time.Now()}
	answer, err := d.handlers[method](access.WithCall(d.t.Context(), call), wire.RequestOf(m))
	out, _ := answer.(proto.Message)
	return out, call, err
}

// ask makes a call that must succeed.
func ask[R proto.Message](d *desk, who *access.Principal, method string, m proto.Message) R {
	d.t.Helper()
	answer, _, err := d.try(who, method, m)
	if err != nil {
		d.t.Fatalf("%s by %s: %v", method, who.Name, err)
	}
	return answer.(R)
}

// refused makes a call that must be refused, for a reason and with words.
func (d *desk) refused(who *access.Principal, method string, m proto.Message, kind access.ErrorKind, words string) {
	d.t.Helper()
	_, _, err := d.try(who, method, m)
	e, ok := access.AsError(err)
	if !ok || e.Kind != kind || !strings.Contains(e.Message, words) {
		d.t.Errorf("%s: %v, want kind %d and %q", method, err, kind, words)
	}
}

// wish has bob ask for access and returns the request's id.
func (d *desk) wish(who *access.Principal, model string) string {
	d.t.Helper()
	return ask[*pb.RequestAccessResponse](d, who, pb.AccessService_RequestAccess_FullMethodName, &pb.RequestAccessRequest{
		Verb: "load", Model: model, Reason: "release",
	}).GetApproval().GetId()
}

// stream is the server's side of a watch.
type stream struct {
	grpc.ServerStream
	ctx  context.Context //nolint:containedctx // a ServerStream is asked for its context by contract
	asks *pb.WatchApprovalsRequest
	got  chan *pb.WatchApprovalsResponse
}

func (s *stream) Context() context.Context     { return s.ctx }
func (s *stream) SendHeader(metadata.MD) error { return nil }
func (s *stream) RecvMsg(m any) error          { proto.Merge(m.(proto.Message), s.asks); return nil }

func (s *stream) SendMsg(m any) error {
	select {
	case s.got <- m.(*pb.WatchApprovalsResponse):
		return nil
	case <-s.ctx.Done():
		return io.EOF
	}
}

// watch begins a watch; over has what it ended by.
func (d *desk) watch(ctx context.Context, who *access.Principal, asks *pb.WatchApprovalsRequest) (s *stream, over chan error) {
	call := &access.Call{Principal: who, Opened: time.Now(), Stream: true}
	s = &stream{ctx: access.WithCall(ctx, call), asks: asks, got: make(chan *pb.WatchApprovalsResponse, 100)}
	over = make(chan error, 1)
	go func() { over <- d.Streams()[pb.ApprovalService_WatchApprovals_FullMethodName](nil, s) }()
	synctest.Wait()
	return s, over
}

// next is what the watch has told, nil if nothing.
func (s *stream) next() *pb.WatchApprovalsResponse {
	synctest.Wait()
	select {
	case m := <-s.got:
		return m
	default:
		return nil
	}
}

func reasonOf(err error) string {
	var e *access.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}
