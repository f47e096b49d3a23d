package admin

import (
	"context"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// hintApprovals is what to do about a request that isn't found.
const hintApprovals = "`sluice approvals list` shows yours"

func (s *Service) listApprovals(ctx context.Context, call *access.Call, m *pb.ListApprovalsRequest) (*pb.ListApprovalsResponse, error) {
	if s.Approvals == nil {
		return nil, errNoStore
	}
	p, refused := pageOf(m)
	if refused != nil {
		return nil, refused
	}
	f := approval.Filter{Limit: max(p.size, scanBatch)}
	switch states := m.GetStates(); {
	case m.GetApprovable():
		f.State = approval.Pending
	case len(states) == 1:
		if f.State = stateOf(requestStates, states[0]); f.State == "" {
			return nil, malformed("states holds one that is not specified or not known")
		}
	}
	if m.GetMine() {
		f.Owner = call.Principal.ID()
	}
	all := s.seesAll(call.Principal)
	found, next, err := scan(p, func(r *approval.Request) string { return r.ID },
		func(after string) ([]*approval.Request, error) {
			f.After = after
			return s.Approvals.List(ctx, f)
		},
		func(r *approval.Request) bool {
			return seesRequest(call.Principal, all, r) &&
				(m.GetModel() == "" || r.Model == m.GetModel()) &&
				(len(m.GetStates()) == 0 || slices.Contains(m.GetStates(), requestStates[r.State])) &&
				(!m.GetApprovable() || s.mayDecide(call.Principal, r) == nil)
		})
	if err != nil {
		return nil, err
	}
	out := &pb.ListApprovalsResponse{NextPageToken: next}
	for _, r := range found {
		out.Approvals = append(out.Approvals, s.listed(call, r))
	}
	return out, nil
}

// stateOf is what an enum's value means.
func stateOf[V comparable](names map[approval.State]V, value V) approval.State {
	for state, v := range names {
		if v == value {
			return state
		}
	}
	return ""
}

// request reads a request that the caller gets to see, and notes in the call which
// it is.
func (s *Service) request(ctx context.Context, call *access.Call, id string) (*approval.Request, error) {
	if s.Approvals == nil {
		return nil, errNoStore
	}
	if refused := checkID(id); refused != nil {
		return nil, refused
	}
	r, err := s.Approvals.Get(ctx, id)
	if err != nil {
		return nil, asNotFound(err, "approval request", id, hintApprovals)
	}
	if !seesRequest(call.Principal, s.seesAll(call.Principal), r) {
		return nil, notFound("approval request", id, hintApprovals)
	}
	call.Model, call.Approval = r.Model, &access.Approval{Request: r.ID}
	return r, nil
}

func (s *Service) getApproval(ctx context.Context, call *access.Call, m *pb.GetApprovalRequest) (*pb.GetApprovalResponse, error) {
	r, err := s.request(ctx, call, m.GetId())
	if err != nil {
		return nil, err
	}
	return &pb.GetApprovalResponse{Approval: s.approvalOf(call, r)}, nil
}

func (s *Service) approve(ctx context.Context, call *access.Call, m *pb.ApproveRequest) (*pb.ApproveResponse, error) {
	if refused := checkReason(m.GetReason(), ""); refused != nil {
		return nil, refused
	}
	call.Detail = m.GetReason()
	lasts, refused := duration(m.GetDuration())
	if refused != nil {
		return nil, refused
	}
	r, err := s.request(ctx, call, m.GetId())
	if err != nil {
		return nil, err
	}
	if refused := s.decide(call, r); refused != nil {
		return nil, refused
	}
	r, err = s.Approvals.Approve(ctx, call.Principal, r.ID, approval.Answer{Reason: m.GetReason(), Digest: m.GetDigest(), For: lasts})
	if err != nil {
		return nil, asNotFound(err, "approval request", m.GetId(), hintApprovals)
	}
	out := &pb.ApproveResponse{Approval: s.approvalOf(call, r)}
	if r.Grant != "" {
		call.Approval.Grant = r.Grant
		if g, err := s.Approvals.GetGrant(ctx, r.Grant); err == nil { // without it the approval holds all the same
			out.Grant = grantOf(g)
		}
	}
	return out, nil
}

func (s *Service) deny(ctx context.Context, call *access.Call, m *pb.DenyRequest) (*pb.DenyResponse, error) {
	if refused := checkReason(m.GetReason(), ""); refused != nil {
		return nil, refused
	}
	call.Detail = m.GetReason()
	r, err := s.request(ctx, call, m.GetId())
	if err != nil {
		return nil, err
	}
	if !r.Requester.Is(call.Principal) { // who may take back his own without any right
		if refused := s.decide(call, r); refused != nil {
			return nil, refused
		}
	}
	r, err = s.Approvals.Deny(ctx, call.Principal, r.ID, approval.Answer{Reason: m.GetReason()})
	if err != nil {
		return nil, asNotFound(err, "approval request", m.GetId(), hintApprovals)
	}
	return &pb.DenyResponse{Approval: s.approvalOf(call, r)}, nil
}
