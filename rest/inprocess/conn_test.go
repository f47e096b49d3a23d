package inprocess_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/inprocess"
	"github.com/sluice-gateway/sluice/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const method = "/s/m"

// conn is a connection to one handler.
func conn(h grpc.StreamHandler) *inprocess.Conn {
	return inprocess.New(map[string]grpc.StreamHandler{method: h})
}

// called is a context for calls of somebody.
func called(ctx context.Context) context.Context {
	return inprocess.WithCaller(ctx, &inprocess.Caller{
		Peer: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7}, Metadata: metadata.Pairs("authorization", "Bearer x"), Door: &access.Door{Name: "rest"},
	})
}

// source makes one message out of text, when it is asked.
type source struct {
	text  string
	err   error
	asked bool
}

func (s *source) Receive(_ context.Context, in *wire.Intake) error {
	s.asked = true
	if s.err != nil {
		return s.err
	}
	m := wire.FromBytes([]byte(s.text))
	if err := in.Charge(m.Len()); err != nil {
		return err
	}
	in.Append(m.Buffers()[0])
	return nil
}

// receive reads the next request of a stream as the chain does.
func receive(ss grpc.ServerStream) (string, error) {
	account := wire.NewBudget(wire.BudgetConfig{}).Account("p")
	defer account.Close()
	var m wire.Message
	defer m.Free()
	if err := wire.NewReceiver(ss).Recv(&m, account); err != nil {
		return "", err
	}
	return string(m.Buffers().Materialize()), nil
}

func TestAHandlerSeesTheCallerAndNothingElseOfTheContext(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(called(t.Context()), key{}, "leaked")
	ctx = metadata.NewOutgoingContext(ctx, metadata.Pairs("authorization", "Bearer theirs", "grpcgateway-authorization", "x", "x-forwarded-for", "1.2.3.4"))
	err := conn(func(_ any, ss grpc.ServerStream) error {
		ctx := ss.Context()
		md, _ := metadata.FromIncomingContext(ctx)
		p, _ := peer.FromContext(ctx)
		if len(md) != 1 || md["authorization"][0] != "Bearer x" || p.Addr.String() != "10.0.0.1:7" || access.DoorFrom(ctx).Name != "rest" {
			t.Errorf("got %v from %v through %v", md, p, access.DoorFrom(ctx))
		}
		if out, ok := metadata.FromOutgoingContext(ctx); ok || ctx.Value(key{}) != nil {
			t.Errorf("outgoing metadata %v and value %v would go on", out, ctx.Value(key{}))
		}
		if name, _ := grpc.Method(ctx); name != method {
			t.Errorf("method is %q", name)
		}
		return ss.SendMsg(&pb.ServerLiveResponse{})
	}).Invoke(ctx, method, &pb.ServerLiveRequest{}, &pb.ServerLiveResponse{})
	if err != nil {
		t.Fatal(err)
	}
}

func TestACallWithoutACallerGoesNowhere(t *testing.T) {
	c := conn(func(any, grpc.ServerStream) error { t.Error("reached"); return nil })
	if err := c.Invoke(t.Context(), method, &pb.ServerLiveRequest{}, &pb.ServerLiveResponse{}); status.Code(err) != codes.Internal {
		t.Errorf("got %v", err)
	}
	if _, err := c.NewStream(t.Context(), nil, method); status.Code(err) != codes.Internal {
		t.Errorf("got %v", err)
	}
	if err := c.Invoke(called(t.Context()), "/s/other", &pb.ServerLiveRequest{}, &pb.ServerLiveResponse{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
}

func TestAUnaryCall(t *testing.T) {
	request := &pb.ModelReadyRequest{Name: "m"}
	raw, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var header, trailer metadata.MD
	for name, args := range map[string]any{"decoded": request, "bytes": wire.FromBytes(raw), "a source": &source{text: string(raw)}} {
		t.Run(name, func(t *testing.T) {
			c := conn(func(_ any, ss grpc.ServerStream) error {
				got, err := receive(ss)
				if err != nil || got != string(raw) {
					t.Errorf("received %q, %v", got, err)
				}
				if _, err := receive(ss); err != io.EOF {
					t.Errorf("a second request: %v", err)
				}
				_ = grpc.SetHeader(ss.Context(), metadata.Pairs("h", "1"))
				_ = ss.SetHeader(metadata.Pairs("h", "2"))
				_ = grpc.SetTrailer(ss.Context(), metadata.Pairs("t", "1"))
				ss.SetTrailer(metadata.Pairs("t", "2"))
				answer := wire.FromBytes([]byte{8, 1})
				defer answer.Free()
				return ss.SendMsg(answer)
			})
			decoded := new(pb.ModelReadyResponse)
			if err := c.Invoke(called(t.Context()), method, args, decoded, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil || !decoded.GetReady() {
				t.Errorf("got %v, %v", decoded, err)
			}
			if len(header["h"]) != 2 || len(trailer["t"]) != 2 {
				t.Errorf("header %v, trailer %v", header, trailer)
			}
		})
	}
}

func TestAnAnswerComesByReference(t *testing.T) {
	sent := wire.FromBytes([]byte("the answer"))
	got := new(wire.Message)
	err := conn(func(_ any, ss grpc.ServerStream) error { return ss.SendMsg(sent) }).Invoke(called(t.Context()), method, new(source), got)
	if err != nil || &got.Buffers()[0].ReadOnlyData()[0] != &sent.Buffers()[0].ReadOnlyData()[0] {
		t.Errorf("got another message's bytes, %v", err)
	}
	sent.Free()
	got.Free()
}

func TestHowAUnaryCallFails(t *testing.T) {
	broken := status.Error(codes.NotFound, "no")
	for name, c := range map[string]struct {
		handler grpc.StreamHandler
		args    any
		want    codes.Code
	}{
		"the handler's error": {func(any, grpc.ServerStream) error { return broken }, new(source), codes.NotFound},
		"an error after the answer": {func(_ any, ss grpc.ServerStream) error {
			return errors.Join(ss.SendMsg(new(pb.ServerLiveResponse)), broken)
		}, new(source), codes.NotFound},
		"no answer": {func(any, grpc.ServerStream) error { return nil }, new(source), codes.Internal},
		"two answers": {func(_ any, ss grpc.ServerStream) error {
			_ = ss.SendMsg(new(pb.ServerLiveResponse))
			return ss.SendMsg(new(pb.ServerLiveResponse))
		}, new(source), codes.Internal},
		"the request can't be read":    {func(_ any, ss grpc.ServerStream) error { _, err := receive(ss); return err }, &source{err: broken}, codes.NotFound},
		"an answer that is no message": {func(_ any, ss grpc.ServerStream) error { return ss.SendMsg("text") }, new(source), codes.Unknown},
		"a header after the answer": {func(_ any, ss grpc.ServerStream) error {
			_ = ss.SendMsg(new(pb.ServerLiveResponse))
			return ss.SetHeader(metadata.Pairs("a", "b"))
		}, new(source), codes.Internal},
		"a source that is taken for a message": {func(_ any, ss grpc.ServerStream) error { return ss.RecvMsg(new(wire.Message)) }, new(source), codes.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			reply := new(wire.Message)
			if err := conn(c.handler).Invoke(called(t.Context()), method, c.args, reply); status.Code(err) != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if reply.Len() != 0 {
				t.Errorf("there is an answer of %d bytes beside the error", reply.Len())
			}
			reply.Free()
		})
	}
}

// TestARequestIsNotReadBeforeItIsAskedFor, so that who is refused on headers has
// nothing read.
func TestARequestIsNotReadBeforeItIsAskedFor(t *testing.T) {
	s := new(source)
	_ = conn(func(any, grpc.ServerStream) error { return status.Error(codes.Unauthenticated, "no") }).Invoke(called(t.Context()), method, s, new(wire.Message))
	if s.asked {
		t.Error("the request was read")
	}
}

func TestTheEndOfTheCallersContextIsTheHandlersToo(t *testing.T) {
	for name, c := range map[string]struct {
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		want error
	}{
		"a deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, context.DeadlineExceeded},
		"a cancel": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := c.ctx(called(t.Context()))
				defer cancel()
				began := time.Now()
				err := conn(func(_ any, ss grpc.ServerStream) error {
					_, has := ss.Context().Deadline()
					<-ss.Context().Done()
					if has != (c.want == context.DeadlineExceeded) {
						t.Errorf("has a deadline: %v", has)
					}
					return ss.Context().Err()
				}).Invoke(ctx, method, new(source), new(wire.Message))
				if !errors.Is(err, c.want) || time.Since(began) != time.Second {
					t.Errorf("got %v after %v", err, time.Since(began))
				}
			})
		})
	}
}

// TestACallIsEndedFromOutside, as gRPC's own can be: what the handler waits for ends,
// and so does the reading of what its caller sends.
func TestACallIsEndedFromOutside(t *testing.T) {
	interrupted := false
	ctx := inprocess.WithCaller(t.Context(), &inprocess.Caller{Interrupt: func() { interrupted = true }})
	why := status.Error(codes.PermissionDenied, "killed")
	err := conn(func(_ any, ss grpc.ServerStream) error {
		stream, ok := grpc.ServerTransportStreamFromContext(ss.Context()).(interface{ WriteStatus(*status.Status) error })
		if !ok {
			t.Fatal("it can't be ended")
		}
		if err := stream.WriteStatus(status.Convert(why)); err != nil {
			t.Error(err)
		}
		<-ss.Context().Done()
		return why
	}).Invoke(ctx, method, new(source), new(wire.Message))
	if status.Code(err) != codes.PermissionDenied || !interrupted {
		t.Errorf("got %v, interrupted: %v", err, interrupted)
	}
}
