// Package backend is a KServe v2 server that costs next to nothing: it reads
// the head of a request and answers with what that asks for. It stands behind
// every proxy that the benchmark measures.
package backend

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/bench/kserve"
)

// New gives a server for the one model, whose tensors have up to maxOutput
// bytes. It serves plain text; the caller calls Serve and Stop.
func New(model string, maxOutput int) *grpc.Server {
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(kserve.Codec{}),
		grpc.MaxRecvMsgSize(math.MaxInt32),
	)
	b := &backend{answers: kserve.NewAnswers(maxOutput)}
	s.RegisterService(b.inference(model), b)
	s.RegisterService(health(), b)
	return s
}

type backend struct{ answers *kserve.Answers }

func (b *backend) inference(model string) *grpc.ServiceDesc {
	d := &grpc.ServiceDesc{
		ServiceName: kserve.Service,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "ModelInfer", Handler: unary(b.infer)}},
		Streams: []grpc.StreamDesc{{
			StreamName: "ModelStreamInfer", Handler: b.stream,
			ServerStreams: true, ClientStreams: true,
		}},
	}
	for method, answer := range kserve.Canned(model) {
		d.Methods = append(d.Methods, grpc.MethodDesc{MethodName: method, Handler: canned(answer)})
	}
	return d
}

// health answers every check with SERVING.
func health() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "grpc.health.v1.Health",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Check", Handler: canned([]byte{1 << 3, 1})}},
	}
}

func canned(answer []byte) grpc.MethodHandler {
	raw := kserve.NewRaw(answer)
	return unary(func(*kserve.Raw) (*kserve.Raw, error) { return raw, nil })
}

// unary makes a handler of f, which must not keep its argument.
func unary(f func(*kserve.Raw) (*kserve.Raw, error)) grpc.MethodHandler {
	return func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var in kserve.Raw
		if err := dec(&in); err != nil {
			return nil, err
		}
		defer in.Free()
		return f(&in)
	}
}

func (b *backend) infer(in *kserve.Raw) (*kserve.Raw, error) {
	ask, err := kserve.ReadAsk(in.BufferSlice)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	out, err := b.answers.Infer(ask)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return out, nil
}

// stream answers each request with its tokens before it reads the next.
func (b *backend) stream(_ any, s grpc.ServerStream) error {
	for {
		var in kserve.Raw
		if err := s.RecvMsg(&in); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		ask, err := kserve.ReadAsk(in.BufferSlice)
		in.Free()
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if err := sendTokens(s, ask); err != nil {
			return err
		}
	}
}

func sendTokens(s grpc.ServerStream, ask kserve.Ask) error {
	return paced(s.Context(), ask, func(n int, text string) error { return s.SendMsg(kserve.Token(ask, n, text)) })
}

// paced stamps each token with the time at which it was due, not with the time
// at which it left: a backend held up is late, not slow.
func paced(ctx context.Context, ask kserve.Ask, send func(n int, text string) error) error {
	text, due := kserve.NewText(ask), time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := range ask.Tokens {
		if ask.Interval > 0 {
			due = due.Add(ask.Interval)
			timer.Reset(time.Until(due))
			select {
			case <-timer.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		} else {
			due = time.Now()
		}
		if err := send(n, text.Token(n, due)); err != nil {
			return err
		}
	}
	return nil
}
