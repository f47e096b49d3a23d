package connection_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/gen/inference"
)

func TestMain(m *testing.M) { backendstest.Main(m) }

var (
	tritonSays   = backendstest.TritonMetadata()
	mlserverSays = &inference.ServerMetadataResponse{Name: "mlserver", Version: "1.7.1"}
	kserveSays   = &inference.ServerMetadataResponse{Name: "kserve", Version: "0.21.0", Extensions: []string{"model_repository_extension"}}
	strangeSays  = &inference.ServerMetadataResponse{Name: "house-made"}
)

func TestKindOf(t *testing.T) {
	for name, tt := range map[string]struct {
		says *inference.ServerMetadataResponse
		want connection.Kind
	}{
		"Triton":                   {tritonSays, connection.Triton},
		"Triton of another id":     {&inference.ServerMetadataResponse{Name: "mlserver", Extensions: tritonSays.GetExtensions()}, connection.Triton},
		"MLServer":                 {mlserverSays, connection.MLServer},
		"KServe":                   {kserveSays, connection.KServe},
		"KServe of another name":   {&inference.ServerMetadataResponse{Name: "x", Extensions: kserveSays.GetExtensions()}, connection.KServe},
		"a server of another name": {strangeSays, ""},
		"a server that is silent":  {&inference.ServerMetadataResponse{}, ""},
	} {
		if got := connection.KindOf(tt.says); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

// scene is a connection that is verified, to a server that a test can exchange.
type scene struct {
	t    *testing.T
	conn *connection.Conn
	log  *bytes.Buffer

	mu     sync.Mutex
	server *backendstest.Server
	told   []bool
}

// play starts a scene; it has to run in a synctest bubble.
func play(t *testing.T, kind connection.Kind, first *backendstest.Server) *scene {
	t.Helper()
	s := &scene{t: t, log: new(bytes.Buffer), server: first}
	c, err := connection.New(connection.Options{
		Name: "gpu", Address: "10.1.2.3:8001", Kind: kind, Credentials: insecure.NewCredentials(),
		Forwarder: backends.Forwarder{Credential: func() (map[string]string, error) { return map[string]string{"authorization": "Bearer x"}, nil }},
		Verify:    &connection.Verify{Log: slog.New(slog.NewTextHandler(s.log, nil)), Mismatch: s.tell},
		Dial:      []grpc.DialOption{grpc.WithContextDialer(s.dial)},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.conn = c
	t.Cleanup(func() { _ = c.Close() })
	return s
}

func (s *scene) tell(wrong bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, wrong)
}

func (s *scene) dial(ctx context.Context, address string) (net.Conn, error) {
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	if server == nil {
		return nil, errors.New("refused")
	}
	return server.Dial(ctx, address)
}

func (s *scene) exchange(server *backendstest.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server = server
}

// infer calls once.
func (s *scene) infer() error {
	_, err := inference.NewGRPCInferenceServiceClient(s.conn).ModelInfer(s.t.Context(), &inference.ModelInferRequest{ModelName: "m"})
	return err
}

func (s *scene) wantRefused() {
	s.t.Helper()
	e, ok := access.AsError(s.infer())
	if !ok || e.Kind != access.Unavailable || e.Reason != access.ReasonBackendKind || !backends.IsUnsent(e) {
		s.t.Errorf("got %v, want that the server is of another kind", e)
	}
	if s.conn.Mismatch() == nil {
		s.t.Error("Mismatch says nothing")
	}
}

func (s *scene) wantServed() {
	s.t.Helper()
	if err := s.infer(); err != nil {
		s.t.Error(err)
	}
	if err := s.conn.Mismatch(); err != nil {
		s.t.Error(err)
	}
}

// saying is a server that says what it is, and infers.
func saying(t *testing.T, says *inference.ServerMetadataResponse) *backendstest.Server {
	t.Helper()
	return backendstest.Start(t, backendstest.Script{
		"ServerMetadata": {backendstest.Receive(), backendstest.Send(says)},
		"ModelInfer":     {backendstest.Receive(), backendstest.Send(&inference.ModelInferResponse{})},
		"Break":          {backendstest.Reset()},
	})
}

func TestVerify(t *testing.T) {
	for name, tt := range map[string]struct {
		kind  connection.Kind
		says  *inference.ServerMetadataResponse
		wrong bool
	}{
		"Triton":                     {connection.Triton, tritonSays, false},
		"MLServer":                   {connection.MLServer, mlserverSays, false},
		"KServe":                     {connection.KServe, kserveSays, false},
		"MLServer for Triton":        {connection.Triton, mlserverSays, true},
		"KServe for Triton":          {connection.Triton, kserveSays, true},
		"Triton for KServe":          {connection.KServe, tritonSays, true},
		"Triton for MLServer":        {connection.MLServer, tritonSays, true},
		"a server nobody knows":      {connection.MLServer, strangeSays, false},
		"a server that says nothing": {connection.Triton, &inference.ServerMetadataResponse{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := saying(t, tt.says)
				s := play(t, tt.kind, server)
				if !tt.wrong {
					s.wantServed()
				} else {
					s.wantRefused()
					if n := len(server.Calls()); n > 0 {
						t.Errorf("%d calls reached the server", n)
					}
					want := "backend gpu is configured as " + string(tt.kind) + " but answers as"
					if !strings.Contains(s.log.String(), "level=ERROR") || !strings.Contains(s.log.String(), want) {
						t.Errorf("the log does not say that %q: %s", want, s.log)
					}
				}
				if s.wantTold(tt.wrong); server.Asked() == 0 {
					t.Error("nobody asked")
				}
			})
		})
	}
}

// wantTold wants the metric to have been told as much.
func (s *scene) wantTold(wrong ...bool) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(wrong) == 1 && !wrong[0] {
		wrong = nil // what is as it should be is nothing new
	}
	if !slices.Equal(s.told, wrong) {
		s.t.Errorf("told %v, want %v", s.told, wrong)
	}
}

// TestVerifyServersThatDoNotSay: they are believed, and what becomes of a call is
// the call's own error.
func TestVerifyServersThatDoNotSay(t *testing.T) {
	infer := []backendstest.Step{backendstest.Receive(), backendstest.Send(&inference.ModelInferResponse{})}
	for name, tt := range map[string]struct {
		asked []backendstest.Step
		most  time.Duration
	}{
		"no such RPC":  {[]backendstest.Step{backendstest.Fail(codes.Unimplemented, "Method not found!")}, 0},
		"not for us":   {[]backendstest.Step{backendstest.Fail(codes.Unavailable, "This protocol is restricted")}, 0},
		"garbage":      {[]backendstest.Step{backendstest.Receive(), backendstest.Garbage()}, 0},
		"hangs at it":  {[]backendstest.Step{backendstest.Receive(), backendstest.Hang()}, 5 * time.Second},
		"thinks first": {[]backendstest.Step{backendstest.Receive(), backendstest.Wait(time.Second), backendstest.Send(tritonSays)}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := play(t, connection.Triton, backendstest.Start(t, backendstest.Script{"ServerMetadata": tt.asked, "ModelInfer": infer}))
				before := time.Now()
				s.wantServed()
				if took := time.Since(before); took != tt.most {
					t.Errorf("the first call took %v, want %v", took, tt.most)
				}
				before = time.Now()
				s.wantServed()
				if took := time.Since(before); took > 0 {
					t.Errorf("the second call waited %v", took)
				}
			})
		})
	}
}

// TestVerifyAgain: a server that is put right is used again, and one that is
// exchanged is asked again.
func TestVerifyAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := saying(t, kserveSays)
		s := play(t, connection.Triton, first)
		s.wantRefused()

		s.exchange(saying(t, tritonSays)) // another process at the same address
		_ = first.Conn(t).Invoke(t.Context(), "/x/Break", nil, nil)
		synctest.Wait()
		time.Sleep(20 * time.Second) // until it is asked again, and connected for that
		synctest.Wait()
		s.wantServed()
		s.wantTold(true, false)
	})
}

// TestVerifyEveryConnection: a right server gives no right to the next one.
func TestVerifyEveryConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := backendstest.Start(t, backendstest.Script{
			"ServerMetadata": {backendstest.Receive(), backendstest.Send(tritonSays)},
			"ModelInfer":     {backendstest.Receive(), backendstest.Reset()},
		})
		s := play(t, connection.Triton, first)
		synctest.Wait() // connected
		second := saying(t, kserveSays)
		s.exchange(second)
		if err := s.infer(); !backends.IsAway(err) {
			t.Fatalf("got %v", err)
		}
		synctest.Wait()
		s.wantRefused() // the very next call
		s.wantTold(true)
		if n := len(second.Calls()); n > 0 {
			t.Errorf("%d calls reached the second server", n)
		}
	})
}

// TestVerifyOnceWrong: a server that was of another kind is not believed because
// it does not say any more what it is.
func TestVerifyOnceWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		says := []backendstest.Step{backendstest.Receive(), backendstest.Send(kserveSays)}
		set := func(steps ...backendstest.Step) {
			mu.Lock()
			defer mu.Unlock()
			says = steps
		}
		server := backendstest.Start(t, backendstest.Script{"ServerMetadata": {func(c *backendstest.Call) error {
			mu.Lock()
			steps := says
			mu.Unlock()
			for _, step := range steps {
				if err := step(c); err != nil {
					return err
				}
			}
			return nil
		}}, "ModelInfer": {backendstest.Receive(), backendstest.Send(&inference.ModelInferResponse{})}})
		s := play(t, connection.Triton, server)
		s.wantRefused()
		set(backendstest.Fail(codes.Unimplemented, ""))
		time.Sleep(time.Minute)
		s.wantRefused()
		set(backendstest.Receive(), backendstest.Send(tritonSays))
		time.Sleep(time.Minute)
		s.wantServed()
		s.wantTold(true, false)
	})
}

// TestVerifyWaitsNoLonger than the caller does, nor than the connection lives.
func TestVerifyWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := backendstest.Start(t, backendstest.Script{"ServerMetadata": {backendstest.Receive(), backendstest.Hang()}})
		s := play(t, connection.Triton, server)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.conn.Invoke(ctx, inference.GRPCInferenceService_ModelInfer_FullMethodName, &inference.ModelInferRequest{}, &inference.ModelInferResponse{})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := s.conn.NewStream(t.Context(), &grpc.StreamDesc{}, "/x/y")
			failed <- err
		}()
		synctest.Wait()
		if err := s.conn.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; err == nil {
			t.Error("a call went on after the end")
		}
	})
}

// TestVerifyAway: a server that is away is no mismatch, and start does not wait.
func TestVerifyAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, connection.Triton, nil)
		if err := s.infer(); !backends.IsAway(err) {
			t.Errorf("got %v", err)
		}
		s.wantTold(false)
		other := saying(t, mlserverSays)
		s.exchange(other)
		time.Sleep(10 * time.Second)
		s.wantRefused()
		if n := len(other.Calls()); n > 0 {
			t.Errorf("%d calls reached the server", n)
		}
	})
}

// TestNotVerified: nobody is asked where that is not wanted.
func TestNotVerified(t *testing.T) {
	server := saying(t, kserveSays)
	c, err := connection.New(connection.Options{
		Name: "gpu", Kind: connection.Triton, Credentials: insecure.NewCredentials(), Dial: []grpc.DialOption{grpc.WithContextDialer(server.Dial)},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := inference.NewGRPCInferenceServiceClient(c).ModelInfer(t.Context(), &inference.ModelInferRequest{}); err != nil {
		t.Error(err)
	}
	if server.Asked() > 0 || c.Mismatch() != nil {
		t.Error("the server was asked")
	}
}
