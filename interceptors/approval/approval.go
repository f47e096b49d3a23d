// Package approval is the step that holds what guards ask people about: a call,
// or one message of a stream, that needs approval goes on once there is a grant
// for it, which package approval decides. When it has waited, the steps outside
// that decide on messages are run again. On a stream, a held message stops the
// reading of its stream, while answers go on; and a stream that has used a grant
// is cut at its next message once that was revoked.
package approval

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/wire"
)

// What the requester says for his call, as metadata.
const (
	ReasonKey = "sluice-reason"
	TicketKey = "sluice-ticket"
)

// Gate is the step. It is safe for concurrent use.
type Gate struct {
	// Engine decides; without one, what needs approval is refused.
	Engine *approval.Engine
	// Again are the steps that decide on a message, outermost first: they are run
	// again when it has waited.
	Again []interceptors.Step
	// Backend names the backends that calls for a model go to.
	Backend func(model string) string
	// Mask masks a text of a model's request for who approves it.
	Mask func(ctx context.Context, model, text string) string
}

// Step returns the interceptor's two forms.
func (g *Gate) Step() interceptors.Step {
	return interceptors.Step{Name: interceptors.Approval, Unary: g.unary, Stream: g.stream}
}

func (g *Gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	call := access.CallFrom(ctx)
	if call.Granted != nil {
		call.Approval = call.Granted
	}
	if len(call.Needs) == 0 {
		return handler(ctx, req)
	}
	r, ok := req.(*wire.Request)
	if !ok {
		return nil, interceptors.ErrNoRequest
	}
	ask := g.ask(call, call.Verb, call.Model, call.Version, call.Needs)
	mask := g.mask(ctx, call.Model)
	var infer *wire.Message
	if info.FullMethod == inference.GRPCInferenceService_ModelInfer_FullMethodName {
		var err error
		if infer, err = r.Message(); err != nil {
			return nil, err
		}
		if err := content(ask, ask.Needs, infer, mask); err != nil {
			return nil, err
		}
	} else {
		m := r.Decoded()
		if m == nil {
			return nil, wire.ErrUnread
		}
		ask.Digest = approval.DigestControl(m)
		ask.Show = func() *approval.Summary { return approval.ShowControl(m, mask) }
	}
	ask.Recheck = func() ([]*access.Need, error) {
		needs, err := g.againUnary(ctx, call, req, info)
		if err != nil {
			return nil, err
		}
		return needs, g.anew(ask, needs, infer, mask)
	}
	approved, err := g.admit(ctx, ask)
	call.Approval = approval.Merge(call.Granted, approved)
	if call.Guard == "" {
		call.Guard = call.Needs[0].Guard
	}
	if err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

// ask is a call, or a message of a stream, as the engine wants it.
func (g *Gate) ask(call *access.Call, verb access.Verb, model, version string, needs []*access.Need) *approval.Ask {
	ask := &approval.Ask{
		Principal: call.Principal, Verb: verb, Model: model, Version: version, Needs: needs,
		Reason: first(call.Metadata[ReasonKey]), Ticket: first(call.Metadata[TicketKey]),
		Origin: approval.Origin{RPC: call.RPC, Session: call.Session},
	}
	if call.Peer.IsValid() {
		ask.Origin.Peer = call.Peer.String()
	}
	ask.Backend = g.backend(model)
	return ask
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// anew looks again at what an approval covers besides the message: a reload may
// have led the model to another backend, or changed what guards ask about.
func (g *Gate) anew(ask *approval.Ask, needs []*access.Need, infer *wire.Message, mask approval.Mask) error {
	ask.Backend = g.backend(ask.Model)
	if infer == nil || ask.Show != nil {
		return nil
	}
	return content(ask, needs, infer, mask)
}

func (g *Gate) backend(model string) string {
	if model == "" || g.Backend == nil {
		return ""
	}
	return g.Backend(model)
}

// content is what an infer's approval covers. It is read only where a need is
// about it: a large message takes a while to hash.
func content(ask *approval.Ask, needs []*access.Need, m *wire.Message, mask approval.Mask) (err error) {
	for _, n := range needs {
		if n.Terms.Scope != access.ScopeModel {
			if err := approval.CheckShown(m); err != nil {
				return err
			}
			ask.Digest, err = approval.DigestInfer(m)
			ask.Show = func() *approval.Summary { return approval.ShowInfer(m, mask) }
			return err
		}
	}
	return nil
}

func (g *Gate) mask(ctx context.Context, model string) approval.Mask {
	if g.Mask == nil {
		return nil
	}
	return func(text string) string { return g.Mask(ctx, model, text) }
}

func (g *Gate) admit(ctx context.Context, ask *approval.Ask) (*access.Approval, error) {
	if g.Engine == nil || ask.Principal == nil {
		return nil, &access.Error{
			Kind: access.Unavailable, Reason: access.ReasonStoreAway,
			Message: "a guard asks for approval, and this gateway keeps none: it has no store; ask an administrator of this gateway",
		}
	}
	return g.Engine.Admit(ctx, ask)
}

// fresh is the call as it was before anybody decided. What the steps that run
// again note on it is nobody's to count twice; and the call itself is read by
// others while a message of it waits.
func fresh(ctx context.Context, call *access.Call) (context.Context, *access.Call) {
	again := &access.Call{
		ID: call.ID, RPC: call.RPC, Door: call.Door, Stream: call.Stream, Peer: call.Peer, Opened: call.Opened,
		Metadata: call.Metadata, Principal: call.Principal, Session: call.Session,
	}
	return access.WithCall(ctx, again), again
}

// againUnary decides a call again, and returns what it needs now.
func (g *Gate) againUnary(ctx context.Context, call *access.Call, req any, info *grpc.UnaryServerInfo) ([]*access.Need, error) {
	ctx, again := fresh(ctx, call)
	run := func(context.Context, any) (any, error) { return nil, nil }
	for i := len(g.Again) - 1; i >= 0; i-- {
		step, inner := g.Again[i], run
		run = func(ctx context.Context, req any) (any, error) { return step.Unary(ctx, req, info, inner) }
	}
	_, err := run(ctx, req)
	return again.Needs, err
}

// againMessage decides a message of a stream again.
func (g *Gate) againMessage(ss grpc.ServerStream, call *access.Call, m *wire.Message, info *grpc.StreamServerInfo) ([]*access.Need, error) {
	ctx, again := fresh(ss.Context(), call)
	run := func(_ any, ss grpc.ServerStream) error { return ss.RecvMsg(m) }
	for i := len(g.Again) - 1; i >= 0; i-- {
		step, inner := g.Again[i], run
		run = func(srv any, ss grpc.ServerStream) error { return step.Stream(srv, ss, info, inner) }
	}
	err := run(nil, &reread{ServerStream: ss, ctx: ctx})
	if refused := new(access.MessageError); errors.As(err, &refused) {
		return nil, refused.Err
	}
	return again.Needs, err
}

// reread is a stream that brings the message that was read from it already.
type reread struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // a ServerStream is asked for its context by contract
}

func (s *reread) Context() context.Context { return s.ctx }
func (s *reread) RecvMsg(any) error        { return nil }
