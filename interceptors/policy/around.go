package policy

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// visibleOnly takes out of a list what the caller may not see: out of the
// statistics also what a rule denies him the statistics of.
func visibleOnly(g *Gate, ctx context.Context, call *access.Call, r *wire.Request, handler grpc.UnaryHandler) (any, error) {
	resp, err := handler(ctx, r)
	if err != nil {
		return nil, err
	}
	switch list := resp.(type) {
	case *pb.RepositoryIndexResponse:
		list.Models = slices.DeleteFunc(list.Models, func(m *pb.RepositoryIndexResponse_ModelIndex) bool {
			return !g.visible(call.Principal, m.GetName())
		})
	case *pb.ModelStatisticsResponse:
		list.ModelStats = slices.DeleteFunc(list.ModelStats, func(m *pb.ModelStatistics) bool {
			name := m.GetName()
			return !g.visible(call.Principal, name) || g.Engine.Decide(call.Principal, access.Stats, name).Reason == access.ReasonDeniedByRole
		})
	}
	return resp, nil
}

// withDependents asks about each model that an unload takes along. The answer
// to the question which ones those are may be out of date by the time of the
// unload; who may load ensembles could use that, so the answer is asked for
// right before.
func withDependents(g *Gate, ctx context.Context, call *access.Call, r *wire.Request, handler grpc.UnaryHandler) (any, error) {
	m, err := wire.Control[pb.RepositoryModelUnloadRequest](r)
	if err != nil {
		return nil, err
	}
	p, named := m.GetParameters()["unload_dependents"]
	if no, ok := p.GetParameterChoice().(*pb.ModelRepositoryParameter_BoolParam); !named || ok && !no.BoolParam {
		return handler(ctx, r) // clients send it with every unload; of another type, the server has the word
	}
	dependents, err := g.Dependents(ctx, call.Model)
	if err != nil {
		return nil, err
	}
	for _, model := range dependents {
		if d, refused := g.decide(call, ask{verb: access.Unload, model: model}); refused != nil {
			call.Decision = d
			return nil, refused
		}
	}
	return handler(ctx, r)
}

// withRegions lets a request through that uses no shared memory but its
// caller's own.
func withRegions(g *Gate, ctx context.Context, call *access.Call, r *wire.Request, handler grpc.UnaryHandler) (any, error) {
	m, err := r.Message()
	if err != nil {
		return nil, err
	}
	view, err := m.InferRequest()
	if err != nil {
		return nil, err
	}
	if refused := g.checkRegions(call, view); refused != nil {
		return nil, refused
	}
	return handler(ctx, r)
}
