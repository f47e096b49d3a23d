// Package policy asks the policy in force about each call: which verb on which
// model its message means ([asks]), and what the answer may hold of what the
// caller may see. Every message of a stream is asked about by itself, by the
// policy of that moment. The decisions are those of package policy.
package policy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/policy"
	"github.com/sluice-gateway/sluice/wire"
)

// Gate is the step. It is safe for concurrent use.
type Gate struct {
	Engine  *policy.Engine
	Regions *policy.Regions
	// Dependents lists the models that an unload takes along.
	Dependents func(ctx context.Context, model string) ([]string, error)
	// Grants are asked about what no role allows; nil has none.
	Grants Grants
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Grants are what people have given to principals beside their roles: package
// approval keeps them.
type Grants interface {
	// Allows finds what lets who do verb on model, or nil.
	Allows(who *access.Principal, verb access.Verb, model string) *access.Approval
	// Sees tells whether who has a grant of any verb on model.
	Sees(who *access.Principal, model string) bool
	// MayAsk tells whether who may ask for verb on model.
	MayAsk(who *access.Principal, verb access.Verb, model string) bool
}

// Step returns the interceptor's two forms.
func (g *Gate) Step() interceptors.Step {
	return interceptors.Step{Name: interceptors.Policy, Unary: g.unary, Stream: g.stream}
}

func (g *Gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	r, ok := req.(*wire.Request)
	if !ok {
		return nil, interceptors.ErrNoRequest
	}
	call := access.CallFrom(ctx)
	rule, ok := rules[info.FullMethod]
	if !ok {
		return nil, unknownRPC()
	}
	a, err := rule.asks(r)
	if err != nil {
		return nil, err
	}
	call.Verb, call.Model, call.Version, call.Object = a.verb, a.model, a.version, a.object
	switch {
	case a.byService && call.Principal == nil:
		return nil, nobody()
	case !a.byService && a.verb != access.None:
		var refused *access.Error
		if call.Decision, refused = g.decide(call, a); refused != nil {
			return nil, refused
		}
	}
	if rule.around == nil {
		return handler(ctx, r)
	}
	return rule.around(g, ctx, call, r, handler)
}

// decide asks about one verb on one model. Where a grant allows what no role
// does, the call is noted with it.
func (g *Gate) decide(call *access.Call, a ask) (access.Decision, *access.Error) {
	who := call.Principal
	if who == nil {
		return access.Decision{}, nobody()
	}
	d := g.Engine.Decide(who, a.verb, a.model)
	if d.Allowed {
		return d, nil
	}
	if g.Grants == nil || d.Reason != access.ReasonNoRole {
		return d, g.Engine.Refusal(who, a.verb, a.model, d)
	}
	if granted := g.Grants.Allows(who, a.verb, a.model); granted != nil {
		call.Granted = approval.Merge(call.Granted, granted)
		return access.Decision{Allowed: true, Rule: "grant " + granted.Grant}, nil
	}
	refused := g.Engine.Refusal(who, a.verb, a.model, d)
	if g.Grants.MayAsk(who, a.verb, a.model) {
		refused.Message += fmt.Sprintf("; you may ask ahead for it: sluice access request %s %s --reason …", a.verb, a.model)
	}
	return d, refused
}

// visible tells whether a list may show a model to who.
func (g *Gate) visible(who *access.Principal, model string) bool {
	if g.Engine.Visible(who, model) {
		return true
	}
	return g.Grants != nil && g.Grants.Sees(who, model) && g.Engine.Decide(who, access.List, model).Reason != access.ReasonDeniedByRole
}

// nobody is the refusal of a call without an identity.
func nobody() *access.Error {
	return &access.Error{Kind: access.Unauthenticated, Reason: access.ReasonTokenMissing, Message: "no identity; send authorization: Bearer TOKEN"}
}

func (g *Gate) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	rule, ok := streamRules[info.FullMethod]
	if !ok {
		return unknownRPC()
	}
	call := access.CallFrom(ss.Context())
	call.Verb = rule.verb
	if rule.perMessage {
		return handler(srv, &stream{ServerStream: ss, gate: g, call: call})
	}
	switch {
	case rule.byService && call.Principal == nil:
		return nobody()
	case !rule.byService && rule.verb != access.None:
		var refused *access.Error
		if call.Decision, refused = g.decide(call, ask{verb: rule.verb}); refused != nil {
			return refused
		}
	}
	return handler(srv, ss)
}

// stream decides each message as it is read.
type stream struct {
	grpc.ServerStream
	gate *Gate
	call *access.Call
}

// RecvMsg reads the next request into a *wire.Message. One that is refused is
// an [access.MessageError]: the stream goes on. The message stays the caller's
// to free, whatever the error.
func (s *stream) RecvMsg(m any) error {
	s.call.Granted = nil
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	message, ok := m.(*wire.Message)
	if !ok {
		return interceptors.ErrNoRequest
	}
	view, err := message.InferRequest()
	if err != nil {
		return err
	}
	id, refused := requestID(view)
	var d access.Decision
	var model string
	if refused == nil {
		d, model, refused = s.gate.message(s.call, view)
	}
	if s.call.OnMessage != nil {
		s.call.OnMessage(access.Message{ID: id, Verb: access.Infer, Model: model, Decision: d, Refused: refused, Approval: s.call.Granted})
	}
	if refused != nil {
		return &access.MessageError{ID: id, Err: refused}
	}
	return nil
}

// maxID bounds a request's id in a stream, in bytes: it is kept for as long as
// the answer is waited for, when the message itself has long gone.
const maxID = 4 << 10

// requestID is the request's id; of one that is too long its beginning, with the
// refusal. One with a byte 0 is refused: Triton ends it there (measured, 2.51), so
// that answers to it would come as those to another request.
func requestID(view wire.InferRequest) (string, *access.Error) {
	id := view.ID()
	if id.Len() <= maxID {
		text := id.String()
		if strings.IndexByte(text, 0) < 0 {
			return text, nil
		}
		return text, &access.Error{
			Kind: access.Malformed, Reason: access.ReasonMalformed,
			Message: "the request's id holds a byte 0, where a server may take it to end; use printable text",
		}
	}
	return strings.ToValidUTF8(string(id.Bytes()[:maxID]), ""), &access.Error{
		Kind: access.Malformed, Reason: access.ReasonMalformed,
		Message: fmt.Sprintf("the request's id is %d bytes long, more than %d; use a shorter one", id.Len(), maxID),
	}
}

// message decides one request of a stream, as a ModelInfer of its own.
func (g *Gate) message(call *access.Call, view wire.InferRequest) (access.Decision, string, *access.Error) {
	model := view.ModelName().String()
	if refused := access.CheckModelName(model); refused != nil {
		return access.Decision{}, "", refused
	}
	who := call.Principal
	if who != nil && !g.now().Before(who.Expires) {
		return access.Decision{}, model, &access.Error{
			Kind: access.Unauthenticated, Reason: access.ReasonTokenExpired,
			Message: "the token has expired since the stream was opened; open a new stream with a fresh one",
		}
	}
	d, refused := g.decide(call, ask{verb: access.Infer, model: model})
	if refused == nil {
		refused = g.checkRegions(call, view)
	}
	return d, model, refused
}

func (g *Gate) now() time.Time {
	if g.Now != nil {
		return g.Now()
	}
	return time.Now()
}

func unknownRPC() error {
	return &access.Error{Kind: access.Unimplemented, Reason: access.ReasonUnknownRPC, Message: "unknown RPC; the gateway serves inference.GRPCInferenceService and grpc.health.v1.Health, and sluice.v1 on the port of its console"}
}
