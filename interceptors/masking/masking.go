// Package masking masks what models answer before it leaves: the answer of a
// unary call as a whole, and those of a stream one by one, as parts of the text
// that each request's answers are together. What is masked, for whom and how is
// package masking's to say; this step finds the plan of each request, refuses
// what could not be masked, and keeps the state of each request until its end.
package masking

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

// Trailer is the trailing metadata that tells a caller what was masked, by
// entity and number, as in "CARD=1, EMAIL=2". It never holds a value.
const Trailer = "sluice-masked"

// Gate is the step. It is safe for concurrent use.
type Gate struct {
	Engine *masking.Engine
	// Facts tells what the model's server says of it. An error is a model that
	// nothing is known of.
	Facts func(ctx context.Context, model, version string) (masking.Facts, error)
	// Mark, if set, makes a keyed hash of each value that is masked, so that it can be
	// asked where that was ([access.Call.Marks]). It is for many goroutines, and fast.
	Mark func(value string) uint64
}

// Step returns the interceptor's two forms.
func (g *Gate) Step() interceptors.Step {
	return interceptors.Step{Name: interceptors.Masking, Unary: g.unary, Stream: g.stream}
}

func (g *Gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if info.FullMethod != inference.GRPCInferenceService_ModelInfer_FullMethodName {
		return handler(ctx, req)
	}
	r, ok := req.(*wire.Request)
	if !ok {
		return nil, interceptors.ErrNoRequest
	}
	call := access.CallFrom(ctx)
	plan := g.Engine.Plan(call.Principal, call.Model)
	if plan == nil {
		return handler(ctx, req)
	}
	if err := g.request(ctx, plan, r, call); err != nil {
		return nil, err
	}
	call.Masking = true
	resp, err := handler(ctx, req)
	counts := masking.Counts{Found: g.marks(call)}
	if err != nil {
		err = masked(ctx, plan, err, &counts)
		count(call, "", &counts, nil)
	} else {
		resp, err = g.answer(ctx, plan, resp, &counts)
		count(call, call.Model, &counts, nil)
	}
	setTrailer(call, func(md metadata.MD) { _ = grpc.SetTrailer(ctx, md) })
	return resp, err
}

// request refuses a request whose answer could not be masked.
func (g *Gate) request(ctx context.Context, plan *masking.Plan, r *wire.Request, call *access.Call) error {
	m, err := r.Message()
	if err != nil {
		return err
	}
	view, err := m.InferRequest()
	if err != nil {
		return err
	}
	facts := g.facts(ctx, call.Model, call.Version)
	facts.Decoupled = false // a unary call has one answer, whatever the model could do
	if refused := plan.Request(view, facts); refused != nil {
		return refused
	}
	return nil
}

// facts are what is known of a model; nothing, where its server does not say.
func (g *Gate) facts(ctx context.Context, model, version string) masking.Facts {
	facts, err := g.Facts(ctx, model, version)
	if err != nil {
		return masking.Facts{}
	}
	return facts
}

// answer masks a unary answer. What it is made of is freed where it is not the
// answer any more.
func (g *Gate) answer(ctx context.Context, plan *masking.Plan, resp any, counts *masking.Counts) (any, error) {
	m, ok := resp.(*wire.Message)
	if !ok {
		return nil, interceptors.ErrNoRequest
	}
	out, refused := plan.Unary(ctx, m, counts)
	if refused != nil {
		m.Free()
		return nil, refused
	}
	if out != m {
		m.Free()
	}
	return out, nil
}

// masked masks the text of a backend's error, which may quote the request or
// the answer; its details are left out. Sluice's own words stay. The call's end
// changes nothing: a client whose deadline has passed may still be reading.
func masked(ctx context.Context, plan *masking.Plan, err error, counts *masking.Counts) error {
	if _, own := access.AsError(err); own {
		return err
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	return status.Error(st.Code(), plan.Text(context.WithoutCancel(ctx), st.Message(), counts))
}

// count adds to the call what was found in an answer of a model, and empties
// counts. hear, if not nil, hears of it too.
func count(call *access.Call, model string, counts *masking.Counts, hear hearer) {
	note := func(f access.Found) {
		call.Count(f)
		if hear != nil {
			hear.Masked(f)
		}
	}
	for entity, n := range counts.Masked {
		note(access.Found{Model: model, Entity: entity, N: n})
	}
	for entity, n := range counts.Observed {
		note(access.Found{Model: model, Entity: entity, N: n, Observed: true})
	}
	*counts = masking.Counts{Found: counts.Found}
}

// marks notes on the call the hash of each value that is masked; nil where nobody
// wants it.
func (g *Gate) marks(call *access.Call) masking.Found {
	if g.Mark == nil {
		return nil
	}
	return func(_ string, value []byte) { call.Mark(g.Mark(string(value))) }
}

// setTrailer tells the caller what was masked.
func setTrailer(call *access.Call, set func(metadata.MD)) {
	if len(call.Masked) == 0 {
		return
	}
	all := make([]string, 0, len(call.Masked))
	for entity, n := range call.Masked {
		all = append(all, entity+"="+strconv.FormatInt(n, 10))
	}
	slices.Sort(all)
	set(metadata.Pairs(Trailer, strings.Join(all, ", ")))
}
