package admin

import (
	"context"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/policy"
)

// Limits of a dry run; the request's size is another.
const (
	maxDryCalls = 10_000
	maxDryFiles = 100
)

// dryRun decides calls by the policy in force and by the one that is given, and
// keeps nothing of either.
func (s *Service) dryRun(ctx context.Context, _ *access.Call, m *pb.DryRunRequest) (*pb.DryRunResponse, error) {
	switch {
	case len(m.GetFiles()) == 0 || len(m.GetFiles()) > maxDryFiles:
		return nil, malformed("files must be from 1 to %d policy files", maxDryFiles)
	case len(m.GetCalls()) > maxDryCalls:
		return nil, malformed("calls are more than %d; ask in parts", maxDryCalls)
	case s.Compile == nil:
		return nil, &access.Error{Kind: access.Unimplemented, Reason: access.ReasonUnknownRPC, Message: "dry runs are not served here"}
	}
	given, problems := s.Compile(m.GetFiles())
	if len(problems) > 0 {
		return &pb.DryRunResponse{Problems: problems}, nil
	}
	inForce := s.Policy.Policy()
	out := &pb.DryRunResponse{Calls: int32(len(m.GetCalls()))}
	for i, c := range m.GetCalls() {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		change, refused := compare(c, inForce, given)
		if refused != nil {
			return nil, malformed("calls[%d]: %s", i, refused.Message)
		}
		if change != nil {
			out.Changes = append(out.Changes, change)
		}
	}
	return out, nil
}

// compare decides a call by two policies; nil if they say the same.
func compare(c *pb.DryRunCall, before, after *policy.Policy) (*pb.DryRunChange, *access.Error) {
	verb, refused := question(c.GetVerb(), c.GetModel())
	if refused != nil {
		return nil, refused
	}
	somebody, refused := subjectOf(c.GetSubject())
	if refused != nil {
		return nil, refused
	}
	a := before.Decide(somebody, verb, c.GetModel())
	b := after.Decide(somebody, verb, c.GetModel())
	if a.Allowed == b.Allowed && a.Reason == b.Reason {
		return nil, nil
	}
	return &pb.DryRunChange{Call: c, Before: verdictOf(a), After: verdictOf(b)}, nil
}

func verdictOf(d access.Decision) *pb.Verdict {
	return &pb.Verdict{Allowed: d.Allowed, Reason: d.Reason, Rule: d.Rule}
}
