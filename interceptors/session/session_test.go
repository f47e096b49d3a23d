package session_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors"
	gate "github.com/sluice-gateway/sluice/interceptors/session"
	"github.com/sluice-gateway/sluice/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bob = &access.Principal{Issuer: "https://issuer.test", Subject: "bob"}

// door is a real gRPC server with the gate in front of handlers that wait.
type door struct {
	*grpc.ClientConn
	gate    *gate.Gate
	running chan string // gets the session of each call that runs
	ended   chan error  // gets what each call's context ended with
}

// newDoor serves as bob: a unary method that waits for its context's end, and a
// stream that waits for a message which never comes, on the network itself.
func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{gate: &gate.Gate{Registry: session.New(session.Options{})}, running: make(chan string, 10), ended: make(chan error, 10)}
	step := d.gate.Step()
	in := func(ctx context.Context, stream bool) context.Context {
		return access.WithCall(ctx, &access.Call{Principal: bob, Opened: time.Now(), Stream: stream, Door: "grpc"})
	}
	run := func(ctx context.Context) { d.running <- access.CallFrom(ctx).Session }
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "s", Streams: []grpc.StreamDesc{
		{StreamName: "unary", ServerStreams: true, ClientStreams: true, Handler: func(_ any, ss grpc.ServerStream) error {
			_, err := step.Unary(in(ss.Context(), false), nil, nil, func(ctx context.Context, _ any) (any, error) {
				run(ctx)
				<-ctx.Done()
				d.ended <- ctx.Err()
				return nil, ctx.Err()
			})
			return interceptors.ToStatus(err)
		}},
		{StreamName: "stream", ServerStreams: true, ClientStreams: true, Handler: func(_ any, ss grpc.ServerStream) error {
			err := step.Stream(nil, interceptors.WithContext(ss, in(ss.Context(), true)), nil, func(_ any, ss grpc.ServerStream) error {
				run(ss.Context())
				err := ss.RecvMsg(new(emptypb.Empty))
				d.ended <- err
				return err
			})
			return interceptors.ToStatus(err)
		}},
	}}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(d.gate.Listener(l)) }()
	t.Cleanup(func() { server.Stop(); <-served })
	d.ClientConn, err = grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// call opens a call and returns its session and what it ends with.
func (d *door) call(t *testing.T, method string) (id string, end chan error) {
	t.Helper()
	s, err := d.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/s/"+method)
	if err != nil {
		t.Fatal(err)
	}
	end = make(chan error, 1)
	go func() { end <- s.RecvMsg(new(emptypb.Empty)) }()
	return <-d.running, end
}

func reasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// TestARunningCallIsEnded on grpc-go's own transport: the caller is told at once,
// and what the handler waits for ends, on the network too. It turns red with a
// grpc-go whose streams can't be ended from outside any more.
func TestARunningCallIsEnded(t *testing.T) {
	for _, method := range []string{"unary", "stream"} {
		t.Run(method, func(t *testing.T) {
			d := newDoor(t)
			id, end := d.call(t, method)
			if _, err := d.gate.Registry.Kill(t.Context(), session.Order{Session: id}); err != nil {
				t.Fatal(err)
			}
			err := <-end
			if status.Code(err) != codes.PermissionDenied || reasonOf(err) != access.ReasonSessionKilled || !strings.Contains(err.Error(), "another session") {
				t.Errorf("the caller was told %v", err)
			}
			if inside := <-d.ended; inside == nil || errors.Is(inside, io.EOF) {
				t.Errorf("the handler was told %v", inside)
			}
		})
	}
}

func TestAnEndedPrincipalsNewCallIsRefused(t *testing.T) {
	d := newDoor(t)
	if _, err := d.gate.Registry.Kill(t.Context(), session.Order{Principal: bob.ID()}); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"unary", "stream"} {
		err := d.Invoke(t.Context(), "/s/"+method, new(emptypb.Empty), new(emptypb.Empty))
		if status.Code(err) != codes.PermissionDenied || reasonOf(err) != access.ReasonSessionKilled {
			t.Errorf("%s: %v", method, err)
		}
	}
	if len(d.running) != 0 {
		t.Error("a handler ran")
	}
}

// TestSessionsFollowConnections: calls on one are one session, which ends with it.
func TestSessionsFollowConnections(t *testing.T) {
	d := newDoor(t)
	one, _ := d.call(t, "unary")
	two, _ := d.call(t, "unary")
	stream, _ := d.call(t, "stream")
	if one != two || one == stream || len(one) != 32 {
		t.Errorf("sessions %q, %q, stream %q", one, two, stream)
	}
	live := func() int { return len(d.gate.Registry.List(t.Context(), session.Filter{}).Sessions) }
	if n := live(); n != 2 {
		t.Errorf("%d are live", n)
	}
	_ = d.Close()
	for range 3 {
		<-d.ended
	}
	for deadline := time.Now().Add(time.Minute); live() != 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // the transport closes when it has noticed
	}
	if n := live(); n != 0 {
		t.Errorf("%d are live after the connection", n)
	}
}

// on is a server stream without a transport.
type on struct {
	grpc.ServerStream
	ctx context.Context
}

func (s on) Context() context.Context { return s.ctx }

// TestWithoutATransport the context ends, which then says why.
func TestWithoutATransport(t *testing.T) {
	registry := session.New(session.Options{})
	step := (&gate.Gate{Registry: registry}).Step()
	wait := func(ctx context.Context) error {
		id := access.CallFrom(ctx).Session
		if _, err := registry.Kill(t.Context(), session.Order{Session: id}); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		if e, ok := access.AsError(context.Cause(ctx)); !ok || e.Reason != access.ReasonSessionKilled {
			t.Errorf("the cause is %v", context.Cause(ctx))
		}
		return nil // even a good end is one that was stopped
	}
	call := func(stream bool) context.Context {
		return access.WithCall(t.Context(), &access.Call{Principal: bob, Opened: time.Now(), Stream: stream})
	}
	for name, run := range map[string]func() error{
		"unary": func() error {
			_, err := step.Unary(call(false), nil, nil, func(ctx context.Context, _ any) (any, error) { return nil, wait(ctx) })
			return err
		},
		"stream": func() error {
			return step.Stream(nil, on{ctx: call(true)}, nil, func(_ any, ss grpc.ServerStream) error { return wait(ss.Context()) })
		},
	} {
		if e, ok := access.AsError(run()); !ok || e.Reason != access.ReasonSessionKilled {
			t.Errorf("%s: %v", name, e)
		}
	}
}

func TestProbesHaveNoSession(t *testing.T) {
	registry := session.New(session.Options{})
	step := (&gate.Gate{Registry: registry}).Step()
	ctx := access.WithCall(t.Context(), &access.Call{})
	_, err := step.Unary(ctx, nil, nil, func(context.Context, any) (any, error) { return nil, nil })
	err = errors.Join(err, step.Stream(nil, on{ctx: ctx}, nil, func(any, grpc.ServerStream) error { return nil }))
	if n := len(registry.List(t.Context(), session.Filter{}).Sessions); err != nil || n != 0 || access.CallFrom(ctx).Session != "" {
		t.Errorf("%v, %d sessions", err, n)
	}
}

// TestWhatIsCountedOfAStream is what policy let through.
func TestWhatIsCountedOfAStream(t *testing.T) {
	registry := session.New(session.Options{})
	step := (&gate.Gate{Registry: registry}).Step()
	heard := 0
	call := &access.Call{Principal: bob, Opened: time.Now(), Stream: true, OnMessage: func(access.Message) { heard++ }}
	err := step.Stream(nil, on{ctx: access.WithCall(t.Context(), call)}, nil, func(any, grpc.ServerStream) error {
		call.OnMessage(access.Message{Model: "tokens", Decision: access.Decision{Allowed: true}})
		call.OnMessage(access.Message{Model: "tokens", Refused: &access.Error{}}) // its answer
		call.OnMessage(access.Message{Model: "hidden", Refused: &access.Error{}})
		s := registry.List(t.Context(), session.Filter{}).Sessions[0]
		if s.Calls != 1 || len(s.Models) != 1 || s.Models[0] != "tokens" || heard != 3 {
			t.Errorf("got %+v, heard %d", s, heard)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
