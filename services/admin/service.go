package admin

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/audit"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/policy"
	"github.com/sluice-gateway/sluice/session"
	"github.com/sluice-gateway/sluice/wire"
)

// Requests are approval requests: [approval.Engine] keeps them.
type Requests interface {
	Get(ctx context.Context, id string) (*approval.Request, error)
	List(ctx context.Context, f approval.Filter) ([]*approval.Request, error)
	Watch(ctx context.Context) <-chan *approval.Request
	Approve(ctx context.Context, who *access.Principal, id string, a approval.Answer) (*approval.Request, error)
	Deny(ctx context.Context, who *access.Principal, id string, a approval.Answer) (*approval.Request, error)
	Held(request string) int
}

// Grants are what approvals have given.
type Grants interface {
	GetGrant(ctx context.Context, id string) (*approval.Grant, error)
	ListGrants(ctx context.Context, f approval.Filter) ([]*approval.Grant, error)
	Revoke(ctx context.Context, who *access.Principal, id, reason string, admin bool) (*approval.Grant, error)
	Allows(who *access.Principal, verb access.Verb, model string) *access.Approval
}

// Access is asking for what no role gives.
type Access interface {
	RequestAccess(ctx context.Context, who *access.Principal, w approval.Want) (*approval.Request, error)
	BreakGlass(ctx context.Context, who *access.Principal, w approval.Want) (*approval.Grant, error)
	MayAsk(who *access.Principal, verb access.Verb, model string) bool
}

// Approvals is all three; [approval.Engine] is one.
type Approvals interface {
	Requests
	Grants
	Access
}

var _ Approvals = (*approval.Engine)(nil)

// Sessions are who is on the gateway; [session.Registry] knows.
type Sessions interface {
	List(ctx context.Context, f session.Filter) session.Listing
	Kill(ctx context.Context, o session.Order) (session.Killed, error)
	Lift(ctx context.Context, principal string) error
	Ended() []session.Ended
}

var _ Sessions = (*session.Registry)(nil)

// Options are what the service is made of. Policy and Sessions are needed; what
// else is nil is answered with how to turn it on.
type Options struct {
	Policy    *policy.Engine
	Sessions  Sessions
	Approvals Approvals
	Secrets   Secrets
	Tokens    Tokens
	Links     Links
	// Log is where calls are recorded, Said opens what was said in them, and LogKeys
	// are the public keys that the log is signed with.
	Log     audit.Log
	Said    Said
	LogKeys func(context.Context) ([]string, error)
	// Logins says where people log in, Backends how the model servers are, Rules
	// what else the policy holds: each as it is at the moment.
	Logins   func() []*pb.LoginSource
	Backends func() []*pb.Backend
	Rules    func() Rules
	// Compile reads policy files for a dry run: a policy or problems.
	Compile func(files []*pb.PolicyFile) (*policy.Policy, []*pb.PolicyProblem)
	// Done, if not nil, ends all watches when it is closed.
	Done <-chan struct{}
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Rules are the parts of the policy beside roles and bindings, as GetPolicy shows
// them.
type Rules struct {
	Guards []*pb.Guard
	Access []*pb.AccessEntry
}

// Service answers sluice.v1. It is safe for concurrent use.
type Service struct {
	Options
	watches watches
}

// New returns a service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{Options: o}
}

// Handlers has the handler of every unary RPC by its full name. Each takes a
// [*wire.Request] and answers with a message of package sluice.v1. For the
// streams see [Service.Streams].
func (s *Service) Handlers() map[string]grpc.UnaryHandler {
	return map[string]grpc.UnaryHandler{
		pb.ApprovalService_ListApprovals_FullMethodName: typed(s.listApprovals),
		pb.ApprovalService_GetApproval_FullMethodName:   typed(s.getApproval),
		pb.ApprovalService_Approve_FullMethodName:       typed(s.approve),
		pb.ApprovalService_Deny_FullMethodName:          typed(s.deny),
		pb.AccessService_RequestAccess_FullMethodName:   typed(s.requestAccess),
		pb.AccessService_BreakGlass_FullMethodName:      typed(s.breakGlass),
		pb.GrantService_ListGrants_FullMethodName:       typed(s.listGrants),
		pb.GrantService_RevokeGrant_FullMethodName:      typed(s.revokeGrant),
		pb.SessionService_ListSessions_FullMethodName:   typed(s.listSessions),
		pb.SessionService_KillSession_FullMethodName:    typed(s.killSession),
		pb.SessionService_ListEnded_FullMethodName:      typed(s.listEnded),
		pb.SessionService_LiftEnded_FullMethodName:      typed(s.liftEnded),
		pb.PolicyService_GetPolicy_FullMethodName:       typed(s.getPolicy),
		pb.PolicyService_Explain_FullMethodName:         typed(s.explain),
		pb.PolicyService_CanI_FullMethodName:            typed(s.canI),
		pb.PolicyService_WhoCan_FullMethodName:          typed(s.whoCan),
		pb.PolicyService_DryRun_FullMethodName:          typed(s.dryRun),
		pb.IdentityService_WhoAmI_FullMethodName:        typed(s.whoAmI),
		pb.IdentityService_GetLogin_FullMethodName:      typed(s.getLogin),
		pb.IdentityService_LinkSlack_FullMethodName:     typed(s.linkSlack),
		pb.IdentityService_UnlinkSlack_FullMethodName:   typed(s.unlinkSlack),
		pb.SecretService_PutSecret_FullMethodName:       typed(s.putSecret),
		pb.SecretService_ListSecrets_FullMethodName:     typed(s.listSecrets),
		pb.SecretService_RotateSecret_FullMethodName:    typed(s.rotateSecret),
		pb.SecretService_DeleteSecret_FullMethodName:    typed(s.deleteSecret),
		pb.SecretService_RevealTokens_FullMethodName:    typed(s.revealTokens),
		pb.BackendService_ListBackends_FullMethodName:   typed(s.listBackends),
		pb.AuditService_SearchRecords_FullMethodName:    typed(s.searchRecords),
		pb.AuditService_GetRecord_FullMethodName:        typed(s.getRecord),
		pb.AuditService_GetPayload_FullMethodName:       typed(s.getPayload),
		pb.AuditService_GetStats_FullMethodName:         typed(s.getStats),
		pb.AuditService_ListLogs_FullMethodName:         typed(s.listLogs),
		pb.AuditService_ListCheckpoints_FullMethodName:  typed(s.listCheckpoints),
		pb.AuditService_LookUpValue_FullMethodName:      typed(s.lookUpValue),
	}
}

// callTime bounds how long one call may take, whatever the caller's own deadline is.
const callTime = 30 * time.Second

// message is a request of type M behind its pointer type.
type message[M any] interface {
	*M
	proto.Message
}

// typed gives a handler its decoded request, the one that policy decided on, and
// who asks.
func typed[M any, P message[M], R any](handler func(context.Context, *access.Call, P) (R, error)) grpc.UnaryHandler {
	return func(ctx context.Context, req any) (any, error) {
		r, ok := req.(*wire.Request)
		call := access.CallFrom(ctx)
		if !ok || call == nil {
			return nil, errors.New("handler got a request that is not a *wire.Request, or no call")
		}
		m, err := wire.Control[M, P](r)
		if err != nil {
			return nil, err
		}
		if refused := checkKnown(m); refused != nil {
			return nil, refused
		}
		ctx, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		answer, err := handler(ctx, call, m)
		if err != nil {
			return nil, err
		}
		return answer, nil
	}
}

// checkKnown refuses a request with fields that this version does not know: one of
// them could be what limits it.
func checkKnown(m proto.Message) *access.Error {
	unknown := false
	_ = protorange.Range(m.ProtoReflect(), func(p protopath.Values) error {
		if inner, ok := p.Index(-1).Value.Interface().(protoreflect.Message); ok && len(inner.GetUnknown()) > 0 {
			unknown = true
			return protorange.Terminate
		}
		return nil
	})
	if unknown {
		return malformed("the request has fields that this version of the gateway does not know; leave them out, or ask a newer one")
	}
	return nil
}

// errNoStore is the answer where the configuration has no store.
var errNoStore = &access.Error{
	Kind: access.Unavailable, Reason: access.ReasonStoreAway,
	Message: "this gateway has no store, and without one no approvals and no grants; an administrator can add the key store",
}

// errNoSecrets is the answer where nothing can be sealed.
var errNoSecrets = &access.Error{
	Kind: access.Unavailable, Reason: access.ReasonStoreAway,
	Message: "this gateway has no store or no key to seal secrets with; an administrator can add the keys store and secrets",
}
