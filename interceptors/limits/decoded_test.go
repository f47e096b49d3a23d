package limits_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors/limits"
	"github.com/sluice-gateway/sluice/wire"
)

// charged is what a call of a method with these bytes has charged while it is
// handled.
func charged(t *testing.T, method string, raw []byte) int64 {
	t.Helper()
	l := &limits.Limits{Budget: wire.NewBudget(wire.BudgetConfig{})}
	ss := &stream{ctx: access.WithCall(t.Context(), &access.Call{Principal: &access.Principal{Subject: "alice"}}), raw: raw}
	req := wire.NewRequest(ss)
	var during int64
	_, err := l.Step().Unary(ss.ctx, req, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) {
		during = l.Budget.InFlight()
		return nil, nil
	})
	req.Free()
	if err != nil || l.Budget.InFlight() != 0 {
		t.Errorf("got %v, with %d bytes charged after", err, l.Budget.InFlight())
	}
	return during
}

// field is a bytes field of a message.
func field(num protowire.Number, size int) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), make([]byte, size))
}

func TestDecodedMessagesAreCharged(t *testing.T) {
	const (
		infer = inference.GRPCInferenceService_ModelInfer_FullMethodName
		load  = inference.GRPCInferenceService_RepositoryModelLoad_FullMethodName
		trace = inference.GRPCInferenceService_TraceSetting_FullMethodName
	)
	var many []byte
	for range 100 {
		many = append(many, field(3, 0)...)
	}
	mixed := protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 1)
	mixed = protowire.AppendFixed32(protowire.AppendTag(mixed, 9, protowire.Fixed32Type), 1)
	mixed = protowire.AppendFixed64(protowire.AppendTag(mixed, 9, protowire.Fixed64Type), 1)
	mixed = append(mixed, field(9, 7)...)
	for name, c := range map[string]struct {
		method string
		raw    []byte
		want   int
	}{
		"an inference is not decoded":     {infer, field(7, 1000), 1003},
		"a small control message":         {trace, field(2, 100), 33 * 102},
		"a load by its bytes":             {load, field(3, 1<<20), 4*(1<<20+4) + 256},
		"a load by its fields":            {load, many, 4*200 + 100*256},
		"fields of all types":             {load, mixed, 4*len(mixed) + 4*256},
		"a load that is cut short":        {load, []byte{0x1a, 100, 1}, 4*3 + 256},
		"a load whose length is cut":      {load, []byte{0x1a, 0xff}, 4*2 + 256},
		"a load that is longer than it's": {load, []byte{0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 4*11 + 256},
		"nothing":                         {load, nil, 0},
	} {
		if got := charged(t, c.method, c.raw); got != int64(c.want) {
			t.Errorf("%s: %d bytes are charged, want %d", name, got, c.want)
		}
	}
}

func TestTheMessageOfAStrangerIsNotRead(t *testing.T) {
	l := &limits.Limits{Budget: wire.NewBudget(wire.BudgetConfig{}), Message: 1}
	ss := &stream{ctx: access.WithCall(t.Context(), &access.Call{}), raw: field(1, 1000)}
	req := wire.NewRequest(ss)
	defer req.Free()
	_, err := l.Step().Unary(ss.ctx, req, nil, func(context.Context, any) (any, error) {
		if m, err := req.Message(); err != nil || m.Len() != 0 || l.Budget.InFlight() != 0 {
			t.Errorf("%d bytes are read, %d charged, %v", m.Len(), l.Budget.InFlight(), err)
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAnswersAreChargedUntilTheyAreFreed(t *testing.T) {
	l := &limits.Limits{Budget: wire.NewBudget(wire.BudgetConfig{All: 1000, PerPrincipal: 1000})}
	ask := func(size int) (any, error) {
		ss := as(t, "alice", 1)
		req := wire.NewRequest(ss)
		defer req.Free()
		return l.Step().Unary(ss.ctx, req, nil, func(context.Context, any) (any, error) { return wire.FromBytes(make([]byte, size)), nil })
	}
	resp, err := ask(600)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Budget.InFlight(); got != 600 {
		t.Errorf("%d bytes are charged for an answer of 600", got)
	}
	if _, err := ask(600); !exhausted(err, access.ReasonInFlight) {
		t.Errorf("a second answer: %v", err)
	}
	resp.(*wire.Message).Free()
	if got := l.Budget.InFlight(); got != 0 {
		t.Errorf("%d bytes are charged after", got)
	}
}
