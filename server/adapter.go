package server

import (
	"context"
	"fmt"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
)

// mayChoose decides whether a request's parameter may choose a model in place of
// the one that the request names: an adapter that the same backend serves under
// the same name, on which the caller may infer. A model whose answers are masked
// for the caller is not chosen so: they would be masked as another model's, or
// not at all. Nor is one that a guard is about which was not asked, or was asked
// about the model that the request names.
func (s *Server) mayChoose(ctx context.Context, at backends.Config, model string) error {
	call := access.CallFrom(ctx)
	if call == nil || call.Principal == nil {
		return chosen(model, "which needs an identity")
	}
	if refused := access.CheckModelName(model); refused != nil {
		return refused
	}
	if d := s.engine.Decide(call.Principal, access.Infer, model); !d.Allowed {
		return s.engine.Refusal(call.Principal, access.Infer, model, d)
	}
	b, refused := s.state.Load().pool.table.Find(model, call.Principal.ID())
	_, renamed := at.Rename[model]
	switch {
	case refused != nil || b.Name() != at.Name || renamed:
		return chosen(model, "which is not a model of the same server by this name")
	case s.masking.Plan(call.Principal, model) != nil:
		return chosen(model, "whose answers are masked")
	case !s.guards.Policy().MayChoose(call.Principal, access.Infer, named(call), model):
		return chosen(model, "which guards are about that do not see this request as its own")
	}
	return nil
}

// named is the model of a unary call; on a stream each message has its own.
func named(call *access.Call) string {
	if call.Stream {
		return ""
	}
	return call.Model
}

func chosen(model, why string) error {
	return &access.Error{
		Kind: access.PermissionDenied, Reason: access.ReasonNoRole,
		Message: fmt.Sprintf("a parameter of the request chooses model %s, %s; call the model by its own name", access.Quote(model), why),
	}
}
