package server

import (
	"context"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/store"
)

// newApprovals makes what keeps approvals; nil without a store to keep them in.
func (s *Server) newApprovals(kept store.Store, cfg *config.Config) *approval.Engine {
	if kept == nil {
		return nil
	}
	return approval.New(approval.EngineOptions{
		Store: kept, Config: cfg.Approvals, Log: s.log,
		MayBreakGlass: func(who *access.Principal, model string) bool {
			return s.engine.Decide(who, access.BreakGlass, model).Allowed
		},
		MayApprove: func(who *access.Principal, model string) bool {
			return !s.gate.Registry.KeptOut(who) && s.engine.Policy() != nil && s.engine.Decide(who, access.Approve, model).Reason != access.ReasonDeniedByRole
		},
	})
}

// replaceApprovals puts the rules that approvals depend on in force.
func (s *Server) replaceApprovals(rules *config.Rules) {
	if s.approvals == nil {
		return
	}
	guards := make(map[string][32]byte)
	for _, name := range rules.Guards.Names() {
		if definition, asks := rules.Guards.Definition(name); asks {
			guards[name] = definition
		}
	}
	s.approvals.Replace(&approval.Rules{Access: rules.Asking, Guards: guards})
}

// backendsOf names the backends that a model's calls may go to; an approval is for
// these.
func (s *Server) backendsOf(model string) string {
	all, refused := s.state.Load().pool.table.FindAll(model)
	if refused != nil {
		return ""
	}
	names := make([]string, 0, len(all))
	for _, b := range all {
		names = append(names, b.Name())
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// maskShown masks a text of a request for who approves it, by all rules about the
// model and without exceptions: who that is is not known when it is kept.
func (s *Server) maskShown(ctx context.Context, model, text string) string {
	plan := s.masking.Plan(nil, model)
	if plan == nil {
		return text
	}
	var counts masking.Counts
	return plan.Text(context.WithoutCancel(ctx), text, &counts)
}
