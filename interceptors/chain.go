// Package interceptors puts the decisions of identity, policy, masking,
// approval and audit into the way of a gRPC call. Each step is a thin package
// of its own below this one, with a unary and a stream form side by side; this
// package holds what they share: the order ([Chain]), the one place where an
// error becomes a status ([ToStatus]), and the adapter that runs unary methods
// through unary interceptors although their message has not been read yet
// ([Chain.Unary]).
package interceptors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"

	"github.com/sluice-gateway/sluice/wire"
)

// The steps of a call, by name.
const (
	Recovery  = "recovery"
	Telemetry = "telemetry"
	Record    = "record"
	Identity  = "identity"
	Session   = "session"
	Limits    = "limits"
	Policy    = "policy"
	Guards    = "guards"
	Approval  = "approval"
	Intent    = "intent"
	Masking   = "masking"
)

// order is the only statement of which step stands where: outermost first,
// each with the reason why it must come after the ones before it.
var order = []struct{ name, reason string }{
	{Recovery, "a panic anywhere inside ends one call, not the process"},
	{Telemetry, "opens the call that all others write into, and counts refusals too"},
	{Record, "is closed after everything inside has spoken, so refusals are recorded and the recorded answer is the one that leaves"},
	{Identity, "decides on headers, before a byte of the message is read"},
	{Session, "ends the calls of who was put out, before anything is read for him"},
	{Limits, "reads the message on the account of a principal that is known"},
	{Policy, "decides on who calls and on what the message says"},
	{Guards, "look into the request of who may call at all"},
	{Approval, "waits for people where a guard asks for them"},
	{Intent, "writes down what is about to be done, once all has been decided and before it is done"},
	{Masking, "masks what policy has let through before any other step sees the answer"},
}

// Step is one interceptor with its place in the order.
type Step struct {
	Name   string
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
}

// Chain is a checked list of steps, outermost first. It is immutable and safe
// for concurrent use.
type Chain struct {
	steps []Step
}

// New checks that steps are all there, once each, in the one right order and
// in both forms.
func New(steps ...Step) (*Chain, error) {
	if len(steps) != len(order) {
		return nil, fmt.Errorf("chain has %d steps, want %d: %s", len(steps), len(order), Order())
	}
	for i, want := range order {
		got := steps[i]
		if got.Name != want.name {
			return nil, fmt.Errorf("step %d of the chain is %q, want %q: it %s", i+1, got.Name, want.name, want.reason)
		}
		if got.Unary == nil || got.Stream == nil {
			return nil, fmt.Errorf("step %q lacks its unary or its stream form", got.Name)
		}
	}
	return &Chain{steps: slices.Clone(steps)}, nil
}

// Order names the steps, outermost first.
func Order() string {
	names := make([]string, len(order))
	for i, o := range order {
		names[i] = o.name
	}
	return strings.Join(names, ", ")
}

// Without returns the chain with one step taken out, as tests do to prove that
// each step is missed. Nothing else may call it.
func (c *Chain) Without(name string) *Chain {
	return &Chain{steps: slices.DeleteFunc(slices.Clone(c.steps), func(s Step) bool { return s.Name == name })}
}

// Unary turns a unary handler into a stream handler that runs the unary
// interceptors with a [*wire.Request] that is not read yet. grpc-go reads the
// message of a unary method before its interceptors run; as a stream handler
// the call is decided on its headers first, so that a stranger can't fill
// memory. The handler answers with a *wire.Message or a proto.Message; a
// message is freed once it has been sent.
func (c *Chain) Unary(method string, handler grpc.UnaryHandler) grpc.StreamHandler {
	info := &grpc.UnaryServerInfo{FullMethod: method}
	run := c.unary(info, handler)
	return func(_ any, ss grpc.ServerStream) error {
		answerPlainly(ss.Context())
		ctx, cancel := beforeDeadline(ss.Context())
		defer cancel()
		req := wire.NewRequest(ss)
		defer req.Free()
		resp, err := run(ctx, req)
		if err != nil {
			return ToStatus(err)
		}
		if m, ok := resp.(*wire.Message); ok {
			defer m.Free()
		}
		return ss.SendMsg(resp)
	}
}

// unary nests the interceptors around handler once, not once a call.
func (c *Chain) unary(info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) grpc.UnaryHandler {
	for _, s := range slices.Backward(c.steps) {
		inner := handler
		handler = func(ctx context.Context, req any) (any, error) { return s.Unary(ctx, req, info, inner) }
	}
	return handler
}

// Stream runs the stream interceptors around handler.
func (c *Chain) Stream(method string, handler grpc.StreamHandler) grpc.StreamHandler {
	info := &grpc.StreamServerInfo{FullMethod: method, IsClientStream: true, IsServerStream: true}
	for _, s := range slices.Backward(c.steps) {
		inner := handler
		handler = func(srv any, ss grpc.ServerStream) error { return s.Stream(srv, ss, info, inner) }
	}
	return func(srv any, ss grpc.ServerStream) error {
		answerPlainly(ss.Context())
		ctx, cancel := beforeDeadline(ss.Context())
		defer cancel()
		return ToStatus(handler(srv, WithContext(ss, ctx)))
	}
}

// A call with a deadline ends this much before it, or a tenth of its time if
// that is less: at the deadline itself grpc-go resets the stream, and the client
// would see CANCELLED or the text of a reset where Triton says DEADLINE_EXCEEDED.
const deadlineMargin = 5 * time.Millisecond

func beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline.Add(-min(time.Until(deadline)/10, deadlineMargin)))
}

// answerPlainly keeps grpc-go from compressing the answers to a compressed
// request: Triton compresses none (protocol/kserve-v2.md, section 9), and what
// compressing costs is the caller's to choose no more than the size of a bomb is.
func answerPlainly(ctx context.Context) {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ RecvCompress() string })
	if !ok || stream.RecvCompress() == "" {
		return
	}
	_ = grpc.SetSendCompressor(ctx, encoding.Identity) // nothing is sent yet, and identity is always there
}

// ErrNoRequest is what an interceptor answers that was given something else
// than the request [Chain.Unary] makes: a mistake in the composition.
var ErrNoRequest = errors.New("interceptor got a request that is not a *wire.Request")
