package admin

import (
	"context"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// wish is what both ways of asking for access have.
type wish interface {
	GetVerb() string
	GetModel() string
	GetDuration() *durationpb.Duration
	GetReason() string
	GetTicket() string
}

func (s *Service) want(call *access.Call, m wish) (approval.Want, error) {
	if s.Approvals == nil {
		return approval.Want{}, errNoStore
	}
	w := approval.Want{Model: m.GetModel(), Reason: m.GetReason(), Ticket: m.GetTicket()}
	var refused *access.Error
	if w.Verb, refused = question(m.GetVerb(), m.GetModel()); refused != nil {
		return w, refused
	}
	if refused = checkReason(w.Reason, w.Ticket); refused != nil {
		return w, refused
	}
	if w.For, refused = duration(m.GetDuration()); refused != nil {
		return w, refused
	}
	call.Model, call.Detail = w.Model, strings.TrimSpace(w.Ticket+" "+w.Reason)
	return w, nil
}

func (s *Service) requestAccess(ctx context.Context, call *access.Call, m *pb.RequestAccessRequest) (*pb.RequestAccessResponse, error) {
	w, err := s.want(call, m)
	if err != nil {
		return nil, err
	}
	r, err := s.Approvals.RequestAccess(ctx, call.Principal, w)
	if err != nil {
		return nil, err
	}
	call.Approval = &access.Approval{Request: r.ID}
	return &pb.RequestAccessResponse{Approval: s.approvalOf(call, r)}, nil
}

func (s *Service) breakGlass(ctx context.Context, call *access.Call, m *pb.BreakGlassRequest) (*pb.BreakGlassResponse, error) {
	w, err := s.want(call, m)
	if err != nil {
		return nil, err
	}
	if w.Reason == "" {
		return nil, malformed("reason is missing; say why nobody else can be asked")
	}
	g, err := s.Approvals.BreakGlass(ctx, call.Principal, w)
	if err != nil {
		return nil, err
	}
	call.Approval = &access.Approval{Grant: g.ID, BreakGlass: true}
	return &pb.BreakGlassResponse{Grant: grantOf(g)}, nil
}
