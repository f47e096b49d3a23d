package admin

import (
	"context"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// hintGrants is what to do about a grant that isn't found.
const hintGrants = "`sluice grants list` shows yours"

func (s *Service) listGrants(ctx context.Context, call *access.Call, m *pb.ListGrantsRequest) (*pb.ListGrantsResponse, error) {
	if s.Approvals == nil {
		return nil, errNoStore
	}
	p, refused := pageOf(m)
	if refused != nil {
		return nil, refused
	}
	f := approval.Filter{Limit: max(p.size, scanBatch), Owner: m.GetPrincipal()}
	if m.GetMine() {
		if f.Owner != "" && f.Owner != call.Principal.ID() {
			return &pb.ListGrantsResponse{}, nil
		}
		f.Owner = call.Principal.ID()
	}
	if refused := checkText("principal", f.Owner, maxPrincipal); refused != nil {
		return nil, refused
	}
	if states := m.GetStates(); len(states) == 1 {
		if f.State = stateOf(grantStates, states[0]); f.State == "" {
			return nil, malformed("states holds one that is not specified or not known")
		}
	}
	all := s.seesAll(call.Principal)
	found, next, err := scan(p, func(g *approval.Grant) string { return g.ID },
		func(after string) ([]*approval.Grant, error) {
			f.After = after
			return s.Approvals.ListGrants(ctx, f)
		},
		func(g *approval.Grant) bool {
			return seesGrant(call.Principal, all, g) && (len(m.GetStates()) == 0 || slices.Contains(m.GetStates(), grantStates[g.State]))
		})
	if err != nil {
		return nil, err
	}
	out := &pb.ListGrantsResponse{NextPageToken: next}
	for _, g := range found {
		out.Grants = append(out.Grants, grantOf(g))
	}
	return out, nil
}

// revokeGrant lets the engine decide who may, of those who get to see the grant.
func (s *Service) revokeGrant(ctx context.Context, call *access.Call, m *pb.RevokeGrantRequest) (*pb.RevokeGrantResponse, error) {
	if s.Approvals == nil {
		return nil, errNoStore
	}
	id := m.GetId()
	if refused := checkID(id); refused != nil {
		return nil, refused
	}
	if refused := checkReason(m.GetReason(), ""); refused != nil {
		return nil, refused
	}
	call.Detail = m.GetReason()
	g, err := s.Approvals.GetGrant(ctx, id)
	if err != nil {
		return nil, asNotFound(err, "grant", id, hintGrants)
	}
	if !seesGrant(call.Principal, s.seesAll(call.Principal), g) {
		return nil, notFound("grant", id, hintGrants)
	}
	call.Model, call.Approval = g.Model, &access.Approval{Request: g.Request, Grant: g.ID, BreakGlass: g.Source == approval.FromBreakGlass}
	admin := false
	if !g.MayRevoke(call.Principal) { // else it is no administrator's act
		call.Verb, call.Decision = access.Admin, s.Policy.Decide(call.Principal, access.Admin, "")
		if refused := s.Policy.Refusal(call.Principal, access.Admin, "", call.Decision); refused != nil {
			return nil, refused
		}
		admin = true
	}
	g, err = s.Approvals.Revoke(ctx, call.Principal, id, m.GetReason(), admin)
	if err != nil {
		return nil, asNotFound(err, "grant", id, hintGrants)
	}
	return &pb.RevokeGrantResponse{Grant: grantOf(g)}, nil
}
