package wire_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// elsewhere is a transport stream whose messages are made by a function.
type elsewhere func(*wire.Intake) error

var _ wire.Source = elsewhere(nil)

func (elsewhere) Method() string                                     { return "/s/m" }
func (elsewhere) SetHeader(metadata.MD) error                        { return nil }
func (elsewhere) SendHeader(metadata.MD) error                       { return nil }
func (elsewhere) SetTrailer(metadata.MD) error                       { return nil }
func (e elsewhere) Receive(_ context.Context, in *wire.Intake) error { return e(in) }

// madeStream is a server stream over it.
type madeStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s madeStream) Context() context.Context { return s.ctx }
func (s madeStream) RecvMsg(any) error        { return errors.New("RecvMsg was asked instead of the source") }

func fromSource(t *testing.T, e elsewhere) *wire.Receiver {
	t.Helper()
	return wire.NewReceiver(madeStream{ctx: grpc.NewContextWithServerTransportStream(t.Context(), e)})
}

// part charges and appends a pooled buffer that holds b n times over.
func part(in *wire.Intake, b byte, n int) error {
	if err := in.Charge(n); err != nil {
		return err
	}
	buf := in.Pool().Get(n)
	for i := range *buf {
		(*buf)[i] = b
	}
	in.Append(mem.NewBuffer(buf, in.Pool()))
	return nil
}

func TestASourceMakesMessagesOnTheAccount(t *testing.T) {
	checkBuffers(t)
	budget := wire.NewBudget(wire.BudgetConfig{All: 1 << 20, PerPrincipal: 1 << 20})
	account := budget.Account("p")
	defer account.Close()
	r := fromSource(t, func(in *wire.Intake) error {
		return errors.Join(in.Fits(4<<10), part(in, 'a', 2<<10), part(in, 'b', 2<<10))
	})
	var m wire.Message
	if err := r.RecvOnly(&m, account); err != nil {
		t.Fatal(err)
	}
	if m.Len() != 4<<10 || len(m.Buffers()) != 2 || budget.InFlight() != 4<<10 {
		t.Errorf("got %d bytes in %d buffers, %d charged", m.Len(), len(m.Buffers()), budget.InFlight())
	}
	m.Free()
	if budget.InFlight() != 0 {
		t.Errorf("%d bytes are still charged", budget.InFlight())
	}
}

func TestWhatASourceMadeBeforeAnErrorIsGivenUp(t *testing.T) {
	broken := errors.New("the body broke off")
	for name, c := range map[string]struct {
		source elsewhere
		most   int
		want   func(error) bool
	}{
		"its own error": {func(in *wire.Intake) error { return errors.Join(part(in, 'a', 2<<10), broken) }, wire.MaxMessage, func(err error) bool { return errors.Is(err, broken) }},
		"the end":       {func(*wire.Intake) error { return io.EOF }, wire.MaxMessage, func(err error) bool { return err == io.EOF }},
		"too large a message": {func(in *wire.Intake) error { return part(in, 'a', 2<<10) }, 1 << 10, func(err error) bool {
			return status.Code(err) == codes.ResourceExhausted
		}},
		"the budget":               {func(in *wire.Intake) error { return errors.Join(part(in, 'a', 2<<10), in.Fits(2<<20)) }, wire.MaxMessage, exhausted},
		"the budget, while making": {func(in *wire.Intake) error { return errors.Join(part(in, 'a', 2<<10), part(in, 'b', 2<<20)) }, wire.MaxMessage, exhausted},
	} {
		t.Run(name, func(t *testing.T) {
			checkBuffers(t)
			budget := wire.NewBudget(wire.BudgetConfig{All: 1 << 20, PerPrincipal: 1 << 20})
			account := budget.Account("p")
			defer account.Close()
			r := fromSource(t, c.source)
			r.Max = c.most
			var m wire.Message
			if err := r.Recv(&m, account); !c.want(err) {
				t.Errorf("got %v", err)
			}
			if m.Len() != 0 || len(m.Buffers()) != 0 || budget.InFlight() != 0 {
				t.Errorf("%d bytes are held and %d charged", m.Len(), budget.InFlight())
			}
		})
	}
}

func exhausted(err error) bool {
	e, ok := access.AsError(err)
	return ok && e.Kind == access.Exhausted
}

func TestAnIntakeOfOnesOwn(t *testing.T) {
	checkBuffers(t)
	account := wire.NewBudget(wire.BudgetConfig{}).Account("p")
	defer account.Close()
	var m wire.Message
	in, err := wire.NewIntake(&m, account, pool, 10)
	if err != nil || in.Max() != 10 {
		t.Fatalf("got %v, max %d", err, in.Max())
	}
	if err := part(in, 'a', 2<<10); err != nil {
		t.Fatal(err)
	}
	if _, err := wire.NewIntake(&m, account, pool, 10); err == nil {
		t.Error("a message that is held was made anew")
	}
	m.Free()
}
