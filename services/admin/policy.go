package admin

import (
	"context"
	"fmt"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/policy"
)

func (s *Service) getPolicy(context.Context, *access.Call, *pb.GetPolicyRequest) (*pb.GetPolicyResponse, error) {
	outline := s.Policy.Policy().Outline()
	out := new(pb.GetPolicyResponse)
	for _, r := range outline.Roles {
		role := &pb.Role{Id: r.Name}
		for _, e := range r.Entries {
			role.Entries = append(role.Entries, &pb.RoleEntry{Models: e.Models, Verbs: e.Verbs, Deny: e.Deny})
		}
		out.Roles = append(out.Roles, role)
	}
	for _, b := range outline.Bindings {
		out.Bindings = append(out.Bindings, &pb.Binding{Role: b.Role, Groups: b.Groups, Subjects: b.Subjects})
	}
	if s.Rules != nil {
		rules := s.Rules()
		out.Guards, out.Access = rules.Guards, rules.Access
	}
	return out, nil
}

// subjectOf is somebody whom an administrator asks about.
func subjectOf(m *pb.Subject) (*access.Principal, *access.Error) {
	if (m.GetIssuer() == "") != (m.GetSubject() == "") {
		return nil, malformed("subject needs issuer and subject, or only groups")
	}
	if m.GetIssuer() == "" && len(m.GetGroups()) == 0 {
		return nil, malformed("subject is missing: issuer and subject, groups, or both")
	}
	return policy.Somebody(m.GetIssuer(), m.GetSubject(), m.GetGroups()), nil
}

func (s *Service) explain(_ context.Context, call *access.Call, m *pb.ExplainRequest) (*pb.ExplainResponse, error) {
	verb, refused := question(m.GetVerb(), m.GetModel())
	if refused != nil {
		return nil, refused
	}
	somebody, refused := subjectOf(m.GetSubject())
	if refused != nil {
		return nil, refused
	}
	x := s.Policy.Policy().Explain(somebody, verb, m.GetModel())
	out := &pb.ExplainResponse{Allowed: x.Allowed, Reason: x.Reason, Rule: x.Rule}
	for _, r := range x.Roles {
		out.Roles = append(out.Roles, &pb.HeldRole{Role: r.Role, Via: r.Via})
	}
	for _, e := range x.Entries {
		out.Entries = append(out.Entries, &pb.MatchedEntry{Place: e.Place, Role: e.Role, Deny: e.Effect == "deny", Pattern: e.Pattern, Decides: e.Decides})
	}
	return out, nil
}

// canI answers as the call itself would be: by roles, and by a grant where no role
// speaks. What guards say depends on the call's content.
func (s *Service) canI(_ context.Context, call *access.Call, m *pb.CanIRequest) (*pb.CanIResponse, error) {
	verb, refused := question(m.GetVerb(), m.GetModel())
	if refused != nil {
		return nil, refused
	}
	d := s.Policy.Decide(call.Principal, verb, m.GetModel())
	if !d.Allowed && d.Reason != access.ReasonDeniedByRole && s.Approvals != nil && s.Approvals.Allows(call.Principal, verb, m.GetModel()) != nil {
		d = access.Decision{Allowed: true}
	}
	out := &pb.CanIResponse{Allowed: d.Allowed, Reason: d.Reason}
	if refusal := s.Policy.Refusal(call.Principal, verb, m.GetModel(), d); refusal != nil {
		out.Message = refusal.Message
		if d.Reason != access.ReasonDeniedByRole && s.Approvals != nil && s.Approvals.MayAsk(call.Principal, verb, m.GetModel()) {
			out.Message += fmt.Sprintf("; you may ask ahead for it: sluice access request %s %s --reason …", verb, m.GetModel())
		}
	}
	return out, nil
}

func (s *Service) whoCan(_ context.Context, _ *access.Call, m *pb.WhoCanRequest) (*pb.WhoCanResponse, error) {
	verb, refused := question(m.GetVerb(), m.GetModel())
	if refused != nil {
		return nil, refused
	}
	h := s.Policy.Policy().WhoCan(verb, m.GetModel())
	return &pb.WhoCanResponse{
		Roles: h.Roles, Groups: h.Groups, Subjects: h.Subjects, DeniedGroups: h.DeniedGroups, DeniedSubjects: h.DeniedSubjects,
	}, nil
}
