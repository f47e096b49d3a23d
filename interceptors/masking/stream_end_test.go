package masking_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

// TestErrorsThatEndTheStream may be about any of its requests.
func TestErrorsThatEndTheStream(t *testing.T) {
	detailed, err := status.New(codes.InvalidArgument, "bad "+mail+" "+card).WithDetails(&errdetails.DebugInfo{Detail: mail})
	if err != nil {
		t.Fatal(err)
	}
	own := &access.Error{Kind: access.Unauthenticated, Reason: access.ReasonTokenExpired, Message: "write to " + mail}
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprint("m", i))
		}
		return list
	}
	for _, c := range []struct {
		name      string
		models    []string
		err, want error
	}{
		{"none", []string{"m"}, nil, nil},
		{"a status", []string{"m"}, status.Error(codes.Aborted, "no "+mail), status.Error(codes.Aborted, "no [EMAIL]")},
		{"one with details", []string{"clear", "m"}, detailed.Err(), status.Error(codes.InvalidArgument, "bad [EMAIL] [CARD]")},
		{"for the rules of all requests", []string{"modeless", "m"}, detailed.Err(), status.Error(codes.InvalidArgument, "bad [EMAIL] [CARD]")},
		{"Sluice's own", []string{"m"}, own, own},
		{"of a stream without masked requests", []string{"clear"}, detailed.Err(), detailed.Err()},
		{"of more models than are remembered", many(70), status.Error(codes.Aborted, "no "+mail), interceptors.ErrInternal},
		{"Sluice's own, of as many", many(70), own, own},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, in := newRig(t), &client{}
			r.Engine = masking.NewEngine(everywhere(t, c.models))
			var requests []*pb.ModelInferRequest
			for _, model := range c.models {
				requests = append(requests, ask(model, ""))
			}
			err := r.open(t, in, func(ss grpc.ServerStream) error {
				for range requests {
					follow(t, ss)
				}
				return c.err
			}, requests...)
			if !same(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			for _, f := range r.found {
				if f.Model != "" {
					t.Errorf("found %+v: it is not known whose error it was", f)
				}
			}
		})
	}
}

// TestACancelledStreamIsSentNothing of what is held: the relay ends nothing then,
// and what the step is asked to send all the same fails as the stream does.
func TestACancelledStreamIsSentNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, in := newRig(t), &client{ctx: ctx}
	err := r.open(t, in, func(ss grpc.ServerStream) error {
		f := follow(t, ss)
		if err := send(t, ss, f, token("mail "+mail)); err != nil {
			t.Error(err)
		}
		cancel()
		in.broken = context.Canceled
		if err := send(t, ss, f, last("")); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		return ctx.Err()
	}, ask("m", "1"))
	if got := strings.Join(in.texts(), "|"); !errors.Is(err, context.Canceled) || got != "mail " {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestSendingThatFails leaves no buffer behind, whichever answer it is that fails.
func TestSendingThatFails(t *testing.T) {
	for name, then := range map[string]*pb.ModelStreamInferResponse{"an answer": token("x"), "what is held": last(""), "the end": nil} {
		t.Run(name, func(t *testing.T) {
			r, in := newRig(t), &client{}
			err := r.open(t, in, func(ss grpc.ServerStream) error {
				f := follow(t, ss)
				if err := send(t, ss, f, token(mail)); err != nil {
					t.Error(err)
				}
				in.broken = io.ErrClosedPipe
				return sendOrEnd(t, ss, f, then)
			}, ask("m", "1"))
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestAReaderThatOutlivesTheHandler: grpc-go ends a read with the call, and so
// after the handler; what it still reads is nobody's. For the race detector.
func TestAReaderThatOutlivesTheHandler(t *testing.T) {
	r, in := newRig(t), &client{}
	returned, read := make(chan struct{}), make(chan struct{})
	first := true
	in.reading = func() {
		if !first {
			<-returned
		}
		first = false
	}
	err := r.open(t, in, func(ss grpc.ServerStream) error {
		follow(t, ss)
		go func() {
			defer close(read)
			var m wire.Message
			_ = ss.RecvMsg(&m)
			m.Free()
		}()
		close(returned)
		return status.Error(codes.Aborted, "no "+mail)
	}, ask("m", "1"), ask("strict", "2"))
	<-read
	if !strings.Contains(fmt.Sprint(err), "[EMAIL]") {
		t.Errorf("got %v", err)
	}
}
