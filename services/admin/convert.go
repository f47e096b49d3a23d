package admin

import (
	"cmp"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/session"
)

// timestamp is t; the zero time is not set.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// length is d; 0 is not set.
func length(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

var kinds = map[access.Kind]pb.PrincipalKind{
	access.User: pb.PrincipalKind_PRINCIPAL_KIND_USER, access.Service: pb.PrincipalKind_PRINCIPAL_KIND_SERVICE,
}

// principal is a caller with all that is known of him.
func principal(p *access.Principal) *pb.Principal {
	return &pb.Principal{
		Id: p.ID(), Issuer: p.Issuer, Subject: p.Subject, Name: p.Name, Kind: kinds[p.Kind], Groups: p.Groups, Source: p.Source,
		AuthenticatedAt: timestamp(p.AuthTime), Means: p.Means, ExpiresAt: timestamp(p.Expires),
	}
}

// person is somebody as he was kept with what he did.
func person(p approval.Person) *pb.Principal {
	return &pb.Principal{Id: p.ID(), Issuer: p.Issuer, Subject: p.Subject, Name: p.Name, Kind: kinds[p.Kind]}
}

// who is somebody as sessions know him; nil for nobody.
func who(w session.Who) *pb.Principal {
	if w.ID == "" {
		return nil
	}
	issuer, subject, _ := strings.Cut(w.ID, "#")
	return &pb.Principal{Id: w.ID, Issuer: issuer, Subject: subject, Name: w.Name, Kind: kinds[w.Kind], Groups: w.Groups}
}

var (
	requestStates = map[approval.State]pb.ApprovalState{
		approval.Pending: pb.ApprovalState_APPROVAL_STATE_PENDING, approval.Approved: pb.ApprovalState_APPROVAL_STATE_APPROVED,
		approval.Denied: pb.ApprovalState_APPROVAL_STATE_DENIED, approval.Expired: pb.ApprovalState_APPROVAL_STATE_EXPIRED,
		approval.Cancelled: pb.ApprovalState_APPROVAL_STATE_CANCELLED, approval.Void: pb.ApprovalState_APPROVAL_STATE_VOID,
	}
	grantStates = map[approval.State]pb.GrantState{
		approval.Live: pb.GrantState_GRANT_STATE_ACTIVE, approval.Expired: pb.GrantState_GRANT_STATE_EXPIRED,
		approval.Used: pb.GrantState_GRANT_STATE_USED, approval.Revoked: pb.GrantState_GRANT_STATE_REVOKED,
		approval.Void: pb.GrantState_GRANT_STATE_VOID,
	}
	modes = map[access.Mode]pb.ApprovalMode{
		access.Wait: pb.ApprovalMode_APPROVAL_MODE_WAIT, access.Ask: pb.ApprovalMode_APPROVAL_MODE_ASK,
	}
	scopes = map[access.Scope]pb.GrantScope{
		access.ScopeCall: pb.GrantScope_GRANT_SCOPE_CALL, access.ScopeModel: pb.GrantScope_GRANT_SCOPE_MODEL,
	}
	origins = map[approval.Source]pb.ApprovalOrigin{
		approval.FromGuard: pb.ApprovalOrigin_APPROVAL_ORIGIN_CALL, approval.FromAccess: pb.ApprovalOrigin_APPROVAL_ORIGIN_ACCESS,
	}
	partKinds = map[approval.PartKind]pb.CoveredPartKind{
		approval.PartParameter: pb.CoveredPartKind_COVERED_PART_KIND_PARAMETER, approval.PartInput: pb.CoveredPartKind_COVERED_PART_KIND_INPUT,
		approval.PartOutput: pb.CoveredPartKind_COVERED_PART_KIND_OUTPUT, approval.PartConfig: pb.CoveredPartKind_COVERED_PART_KIND_CONFIG,
		approval.PartFile: pb.CoveredPartKind_COVERED_PART_KIND_FILE, approval.PartUnknown: pb.CoveredPartKind_COVERED_PART_KIND_UNKNOWN_FIELD,
	}
)

// Terms are an approval's terms as sluice.v1 has them.
func Terms(t access.Terms) *pb.ApprovalTerms {
	return &pb.ApprovalTerms{
		By: t.By, Count: int32(t.Count), Within: length(t.Within), Grant: length(t.Grant),
		Mode: modes[t.Mode], Scope: scopes[t.Scope], Uses: int32(t.Uses),
	}
}

// approvalOf is a request as call's principal sees it.
func (s *Service) approvalOf(call *access.Call, r *approval.Request) *pb.Approval {
	out := &pb.Approval{
		Id: r.ID, State: requestStates[r.State], Origin: origins[r.Source], Requester: person(r.Requester),
		Verb: r.Verb, Model: r.Model, Version: r.Version, Backend: r.Backend, Rpc: r.Origin.RPC, Guard: r.Guard,
		Reason: r.Reason, Ticket: r.Ticket, CreatedAt: timestamp(r.Created), ExpiresAt: timestamp(r.Expires), EndedAt: timestamp(r.Ended),
		Terms:   Terms(access.Terms{By: r.By, Count: r.Count, Within: r.Within, Grant: r.Lasts, Mode: r.Mode, Scope: r.Scope, Uses: r.Uses}),
		GrantId: r.Grant, ClientAddress: r.Origin.Peer, SessionId: r.Origin.Session, HeldCalls: int32(s.Approvals.Held(r.ID)),
		Coverage: coverage(r),
	}
	for _, v := range r.Approvals {
		out.Decisions = append(out.Decisions, decision(v, true))
	}
	if r.Denial != nil {
		out.Decisions = append(out.Decisions, decision(*r.Denial, false))
	}
	out.MayApprove = r.State == approval.Pending && s.mayDecide(call.Principal, r) == nil
	return out
}

func decision(v approval.Vote, approved bool) *pb.ApprovalDecision {
	return &pb.ApprovalDecision{Principal: person(v.By), Approved: approved, Reason: v.Reason, DecidedAt: timestamp(v.At)}
}

// listedParts is how many parts of a request lists and watches show.
const listedParts = 32

// listed is approvalOf for a list of many: what was left out is there to be got.
func (s *Service) listed(call *access.Call, r *approval.Request) *pb.Approval {
	out := s.approvalOf(call, r)
	if c := out.GetCoverage(); len(c.GetParts()) > listedParts {
		c.PartsLeftOut += int32(len(c.GetParts()) - listedParts)
		c.Parts = c.GetParts()[:listedParts]
	}
	return out
}

// coverage is what the request is bound to; of one for a whole model there is
// nothing to show.
func coverage(r *approval.Request) *pb.Coverage {
	if r.Covers == nil {
		return nil
	}
	out := &pb.Coverage{Digest: r.Digest, SizeBytes: int64(r.Covers.Bytes), PartsLeftOut: int32(r.Covers.More)}
	for _, p := range r.Covers.Parts {
		out.Parts = append(out.Parts, &pb.CoveredPart{
			Kind: partKinds[p.Kind], Name: p.Name, Datatype: p.Type, Shape: p.Shape, SizeBytes: int64(p.Bytes),
			Sha256: p.SHA256, Text: p.Text, TextCut: p.Cut,
		})
	}
	return out
}

// grantOf is a grant as sluice.v1 has it.
func grantOf(g *approval.Grant) *pb.Grant {
	out := &pb.Grant{
		Id: g.ID, State: grantStates[g.State], Principal: person(g.Holder), Verb: g.Verb, Model: g.Model, Version: g.Version,
		Scope: scopes[cmp.Or(g.Scope, access.ScopeModel)], Guard: g.Guard, ApprovalId: g.Request,
		CreatedAt: timestamp(g.Granted), ExpiresAt: timestamp(g.Until), Uses: int32(g.Uses), Used: int32(g.Used),
		BreakGlass: g.Source == approval.FromBreakGlass, Reason: g.Reason, Ticket: g.Ticket, EndedAt: timestamp(g.Ended),
	}
	for _, v := range g.Approvals {
		out.Approvers = append(out.Approvers, person(v.By))
	}
	if g.Revocation != nil {
		out.RevokedBy, out.RevokeReason = person(g.Revocation.By), g.Revocation.Reason
	}
	return out
}
