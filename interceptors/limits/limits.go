// Package limits reads each request on the account of its principal: what is
// in flight has a budget per principal and in all, charged before the bytes
// are read and given back when the message is freed. Answers count too, from
// when they have come until they have left, so that nobody fills memory by
// asking for much and reading slowly.
package limits

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/wire"
)

// Limits is the step. It is safe for concurrent use.
type Limits struct {
	Budget *wire.Budget
	// Calls is how many calls one principal may have open; 0 is no limit.
	Calls int
	// Message is the largest message in bytes, decompressed; 0 is
	// [wire.MaxMessage].
	Message int
}

// Step returns the interceptor's two forms.
func (l *Limits) Step() interceptors.Step {
	return interceptors.Step{Name: interceptors.Limits, Unary: l.unary, Stream: l.stream}
}

// open counts the call on its principal's account, which the call closes.
func (l *Limits) open(ctx context.Context) (*wire.Account, error) {
	account := l.account(ctx)
	if l.Calls > 0 && account.Calls() > l.Calls {
		account.Close()
		return nil, &access.Error{
			Kind: access.Exhausted, Reason: access.ReasonStreams, RetryAfter: time.Second,
			Message: fmt.Sprintf("more than %d calls open at once; end some, or ask for a higher server.limits.calls_per_principal", l.Calls),
		}
	}
	return account, nil
}

// nobody is the account of calls without a principal: probes, all together.
const nobody = ""

func (l *Limits) account(ctx context.Context) *wire.Account {
	id := nobody
	if call := access.CallFrom(ctx); call != nil && call.Principal != nil {
		id = call.Principal.ID()
	}
	return l.Budget.Account(id)
}

func (l *Limits) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	r, ok := req.(*wire.Request)
	if !ok {
		return nil, interceptors.ErrNoRequest
	}
	account, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	defer account.Close()
	release, err := l.read(ctx, r, info, account)
	if err != nil {
		return nil, err
	}
	defer release()
	resp, err := handler(ctx, req)
	if m, ok := resp.(*wire.Message); ok && err == nil {
		if err := m.Charge(account); err != nil {
			m.Free()
			return nil, err
		}
	}
	return resp, err
}

// read reads the request, and charges what it will take once decoded. Who has
// no principal is served by RPCs alone whose requests say nothing: theirs is
// not even read, so that no stranger fills memory or keeps a call open by
// sending slowly.
func (l *Limits) read(ctx context.Context, r *wire.Request, info *grpc.UnaryServerInfo, account *wire.Account) (release func(), err error) {
	if call := access.CallFrom(ctx); call == nil || call.Principal == nil {
		r.Skip()
		return func() {}, nil
	}
	if err := r.ReadUpTo(account, l.most()); err != nil {
		return nil, err
	}
	if info == nil || info.FullMethod == inference.GRPCInferenceService_ModelInfer_FullMethodName {
		return func() {}, nil // is not decoded
	}
	m, err := r.Message()
	if err != nil {
		return nil, err
	}
	n := decoded(m, info.FullMethod)
	if err := account.Acquire(n); err != nil {
		return nil, err
	}
	return func() { account.Release(n) }, nil
}

func (l *Limits) most() int {
	if l.Message > 0 {
		return l.Message
	}
	return wire.MaxMessage
}

func (l *Limits) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	account, err := l.open(ss.Context())
	if err != nil {
		return err
	}
	defer account.Close()
	s := &stream{ServerStream: ss, ctx: wire.WithAccount(ss.Context(), account), receiver: wire.NewReceiver(ss), account: account}
	s.receiver.Max = l.most()
	return handler(srv, s)
}

// stream reads its messages on an account.
type stream struct {
	grpc.ServerStream
	ctx      context.Context //nolint:containedctx // a ServerStream is asked for its context by contract
	receiver *wire.Receiver
	account  *wire.Account
}

// Context carries the account, for the answers that come.
func (s *stream) Context() context.Context { return s.ctx }

// RecvMsg reads into a *wire.Message, which then owns its share of the account,
// or decodes into any other message.
func (s *stream) RecvMsg(m any) error {
	if into, ok := m.(*wire.Message); ok {
		return s.receiver.Recv(into, s.account)
	}
	var raw wire.Message
	defer raw.Free()
	if err := s.receiver.Recv(&raw, s.account); err != nil {
		return err
	}
	return raw.Unmarshal(m.(proto.Message))
}
