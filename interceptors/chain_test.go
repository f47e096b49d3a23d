package interceptors_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/wire"
)

// order as DESIGN draws it.
var order = []string{"recovery", "telemetry", "record", "identity", "session", "limits", "policy", "guards", "approval", "intent", "masking"}

// tracing returns steps of the given names that note when a call passes.
func tracing(names []string, passed *[]string) []interceptors.Step {
	var steps []interceptors.Step
	for _, name := range names {
		steps = append(steps, interceptors.Step{
			Name: name,
			Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				*passed = append(*passed, name)
				return handler(ctx, req)
			},
			Stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
				*passed = append(*passed, name)
				return handler(srv, ss)
			},
		})
	}
	return steps
}

func TestOnlyTheRightOrderIsAChain(t *testing.T) {
	swap := func(i, j int) []string {
		s := slices.Clone(order)
		s[i], s[j] = s[j], s[i]
		return s
	}
	cases := map[string]struct {
		names []string
		want  string // of the error; "" is none
	}{
		"the order":        {order, ""},
		"none":             {nil, "0 steps"},
		"one is missing":   {order[1:], "10 steps"},
		"one comes twice":  {append(slices.Clone(order[:10]), "limits"), `"limits", want "masking"`},
		"one is not known": {append(slices.Clone(order[:10]), "magic"), `"magic", want "masking"`},
	}
	for i := range order {
		for j := range i {
			cases["swapped "+order[j]+" and "+order[i]] = struct {
				names []string
				want  string
			}{swap(j, i), `want "` + order[j] + `"`}
		}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var passed []string
			_, err := interceptors.New(tracing(c.names, &passed)...)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAStepNeedsBothForms(t *testing.T) {
	for i, name := range order {
		var passed []string
		for form, strip := range map[string]func(*interceptors.Step){
			"unary": func(s *interceptors.Step) { s.Unary = nil }, "stream": func(s *interceptors.Step) { s.Stream = nil },
		} {
			steps := tracing(order, &passed)
			strip(&steps[i])
			if _, err := interceptors.New(steps...); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s without its %s form: got %v", name, form, err)
			}
		}
	}
}

// stream is a server stream without a transport, which brings one message.
type stream struct {
	grpc.ServerStream
	ctx  context.Context
	sent []any
}

func (s *stream) Context() context.Context { return s.ctx }
func (s *stream) SendMsg(m any) error      { s.sent = append(s.sent, m); return nil }
func (s *stream) RecvMsg(m any) error {
	return m.(*wire.Message).Take(wire.FromBytes([]byte{0x0a, 1, 'm'}))
}

func TestBothKindsOfCallsPassInTheOrder(t *testing.T) {
	var passed []string
	chain, err := interceptors.New(tracing(order, &passed)...)
	if err != nil {
		t.Fatal(err)
	}
	answer := &inference.ServerLiveResponse{Live: true}
	for kind, run := range map[string]func(*stream) error{
		"unary": func(ss *stream) error {
			return chain.Unary("/s/m", func(context.Context, any) (any, error) { return answer, nil })(nil, ss)
		},
		"stream": func(ss *stream) error {
			return chain.Stream("/s/m", func(_ any, ss grpc.ServerStream) error { return ss.SendMsg(answer) })(nil, ss)
		},
	} {
		t.Run(kind, func(t *testing.T) {
			passed = nil
			ss := &stream{ctx: t.Context()}
			if err := run(ss); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(passed, order) {
				t.Errorf("passed %q, want %q", passed, order)
			}
			if len(ss.sent) != 1 || !proto.Equal(ss.sent[0].(proto.Message), answer) {
				t.Errorf("sent %v, want the handler's answer", ss.sent)
			}
		})
	}
}

func TestAUnaryMessageIsNotReadBeforeSomebodyAsks(t *testing.T) {
	var passed []string
	steps := tracing(order, &passed)
	var req *wire.Request
	steps[3].Unary = func(_ context.Context, r any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
		req = r.(*wire.Request)
		_, err := req.Message()
		return nil, err
	}
	chain, err := interceptors.New(steps...)
	if err != nil {
		t.Fatal(err)
	}
	if err := chain.Unary("/s/m", nil)(nil, &stream{ctx: t.Context()}); err == nil || strings.Contains(err.Error(), "read") {
		t.Errorf("got %v, want INTERNAL without the cause's text: the message must not be there at identity", err)
	}
}

func TestAnAnswersMessageIsFreedOnceSent(t *testing.T) {
	var passed []string
	chain, err := interceptors.New(tracing(order, &passed)...)
	if err != nil {
		t.Fatal(err)
	}
	answer := wire.FromBytes([]byte("answer"))
	again := wire.FreedAgain()
	err = chain.Unary("/s/m", func(context.Context, any) (any, error) { return answer, nil })(nil, &stream{ctx: t.Context()})
	if err != nil || len(answer.Buffers()) != 0 || wire.FreedAgain() != again {
		t.Errorf("got %v with %d buffers left, freed again %d times", err, len(answer.Buffers()), wire.FreedAgain()-again)
	}
}

func TestACallEndsShortlyBeforeItsDeadline(t *testing.T) {
	for _, c := range []struct{ timeout, want time.Duration }{
		{time.Second, 995 * time.Millisecond}, {10 * time.Millisecond, 9 * time.Millisecond}, {0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			var passed []string
			chain, err := interceptors.New(tracing(order, &passed)...)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if c.timeout > 0 {
				ctx, cancel = context.WithTimeout(ctx, c.timeout)
			}
			defer cancel()
			left := func(ctx context.Context) error {
				if at, ok := ctx.Deadline(); ok != (c.want > 0) || ok && time.Until(at) != c.want {
					t.Errorf("of %v the call has %v, want %v", c.timeout, time.Until(at), c.want)
				}
				return context.DeadlineExceeded
			}
			for kind, err := range map[string]error{
				"unary":  chain.Unary("/s/m", func(ctx context.Context, _ any) (any, error) { return nil, left(ctx) })(nil, &stream{ctx: ctx}),
				"stream": chain.Stream("/s/m", func(_ any, ss grpc.ServerStream) error { return left(ss.Context()) })(nil, &stream{ctx: ctx}),
			} {
				if st := status.Convert(err); st.Code() != codes.DeadlineExceeded || st.Message() != "Deadline Exceeded" {
					t.Errorf("%s: got %v, want Triton's words", kind, err)
				}
			}
		})
	}
}
