package limits_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors/limits"
	"github.com/sluice-gateway/sluice/wire"
)

// stream brings the same message for ever.
type stream struct {
	grpc.ServerStream
	ctx context.Context
	raw []byte
}

func (s *stream) Context() context.Context { return s.ctx }
func (s *stream) RecvMsg(m any) error      { return m.(*wire.Message).Take(wire.FromBytes(s.raw)) }

func as(t *testing.T, subject string, size int) *stream {
	t.Helper()
	raw, err := proto.Marshal(&inference.ModelInferRequest{RawInputContents: [][]byte{make([]byte, size)}})
	if err != nil {
		t.Fatal(err)
	}
	return &stream{ctx: access.WithCall(t.Context(), &access.Call{Principal: &access.Principal{Issuer: "iss", Subject: subject}}), raw: raw}
}

// unary makes a call and holds it open while inside runs.
func unary(l *limits.Limits, ss *stream, inside func()) error {
	req := wire.NewRequest(ss)
	defer req.Free()
	_, err := l.Step().Unary(ss.ctx, req, nil, func(context.Context, any) (any, error) { inside(); return nil, nil })
	return err
}

func exhausted(err error, reason string) bool {
	e, ok := access.AsError(err)
	return ok && e.Kind == access.Exhausted && e.Reason == reason && e.RetryAfter > 0
}

func TestBytesInFlightHaveABudgetPerPrincipalAndInAll(t *testing.T) {
	const mib = 1 << 20
	l := &limits.Limits{Budget: wire.NewBudget(wire.BudgetConfig{All: 4 * mib, PerPrincipal: 3 * mib})}
	err := unary(l, as(t, "alice", 2*mib), func() {
		if err := unary(l, as(t, "alice", 2*mib), func() {}); !exhausted(err, access.ReasonInFlight) {
			t.Errorf("a second call of hers: %v, want her own limit", err)
		}
		if err := unary(l, as(t, "bob", mib), func() {}); err != nil {
			t.Errorf("another's call: %v", err)
		}
		if err := unary(l, as(t, "bob", 5*mib/2), func() {}); !exhausted(err, access.ReasonInFlight) {
			t.Errorf("another's that is too much for all: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := unary(l, as(t, "alice", 2*mib), func() {}); err != nil {
		t.Errorf("what was given back is not there: %v", err)
	}
	if left := l.Budget.InFlight(); left != 0 {
		t.Errorf("%d bytes are still charged", left)
	}
}

func TestCallsInFlightAreCountedPerPrincipal(t *testing.T) {
	l := &limits.Limits{Budget: wire.NewBudget(wire.BudgetConfig{}), Calls: 1}
	err := unary(l, as(t, "alice", 1), func() {
		if err := unary(l, as(t, "alice", 1), func() {}); !exhausted(err, access.ReasonStreams) {
			t.Errorf("a second call of hers: %v", err)
		}
		if err := unary(l, as(t, "bob", 1), func() {}); err != nil {
			t.Errorf("another's: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := unary(l, as(t, "alice", 1), func() {}); err != nil {
		t.Errorf("her next one: %v", err)
	}
}

func TestEachMessageOfAStreamIsChargedUntilItIsFreed(t *testing.T) {
	const mib = 1 << 20
	l := &limits.Limits{Budget: wire.NewBudget(wire.BudgetConfig{All: 3 * mib, PerPrincipal: 3 * mib})}
	err := l.Step().Stream(nil, as(t, "alice", 2*mib), nil, func(_ any, ss grpc.ServerStream) error {
		var first, second wire.Message
		if err := ss.RecvMsg(&first); err != nil {
			return err
		}
		if err := ss.RecvMsg(&second); !exhausted(err, access.ReasonInFlight) {
			t.Errorf("a second message while the first is held: %v", err)
		}
		first.Free()
		var third wire.Message
		defer third.Free()
		return ss.RecvMsg(&third)
	})
	if err != nil || l.Budget.InFlight() != 0 {
		t.Errorf("got %v with %d bytes charged", err, l.Budget.InFlight())
	}
}

func TestAStreamOfOtherMessagesIsDecoded(t *testing.T) {
	l := &limits.Limits{Budget: wire.NewBudget(wire.BudgetConfig{})}
	err := l.Step().Stream(nil, as(t, "alice", 3), nil, func(_ any, ss grpc.ServerStream) error {
		var m inference.ModelInferRequest
		if err := ss.RecvMsg(&m); err != nil {
			return err
		}
		if len(m.GetRawInputContents()[0]) != 3 {
			t.Errorf("decoded %v", &m)
		}
		return nil
	})
	if err != nil || l.Budget.InFlight() != 0 {
		t.Errorf("got %v with %d bytes charged", err, l.Budget.InFlight())
	}
}
