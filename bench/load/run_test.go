package load_test

import (
	"context"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/bench/backend"
	"github.com/sluice-gateway/sluice/bench/kserve"
	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/probe"
)

// serve gives the address of a server on loopback.
func serve(t *testing.T, s *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return l.Addr().String()
}

// spec is a run of a few milliseconds, measured on this very process.
func spec(address string) load.Spec {
	return load.Spec{
		Address: address, Token: "t", Mode: load.Closed, Conns: 2, Callers: 4,
		Ask:    kserve.Ask{Model: "m", Input: 128, Output: 128},
		Warmup: 5 * time.Millisecond, Duration: 200 * time.Millisecond,
		Proxy: probe.Spec{PIDs: []int{os.Getpid()}},
	}
}

func TestRun(t *testing.T) {
	tests := map[string]struct {
		change func(*load.Spec)
		calls  uint64 // exact, if not 0
		tokens bool
	}{
		"closed": {change: func(*load.Spec) {}},
		"large": {change: func(s *load.Spec) {
			s.Ask.Input, s.Ask.Output = 1<<18, 1<<18
		}},
		"open": {change: func(s *load.Spec) {
			s.Mode, s.Rate = load.Open, 500
		}, calls: 100},
		"tokens": {change: func(s *load.Spec) {
			s.Mode, s.Ask.Tokens = load.Stream, 20
		}, tokens: true},
		"paced": {change: func(s *load.Spec) {
			s.Mode, s.Ask.Tokens, s.Ask.Interval = load.Stream, 1000, 2*time.Millisecond
		}, tokens: true},
		"idle": {change: func(s *load.Spec) {
			s.Mode, s.Callers, s.Ask.Tokens = load.Idle, 50, 1
		}, calls: 50},
	}
	address := serve(t, backend.New("m", 1<<20))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := spec(address)
			tt.change(&s)
			got, err := load.Run(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if got.Errors != 0 {
				t.Errorf("%d errors, the first: %s", got.Errors, got.FirstError)
			}
			if tt.calls != 0 && got.Calls != tt.calls {
				t.Errorf("%d calls, want %d", got.Calls, tt.calls)
			}
			if tt.tokens && (got.Tokens == 0 || got.Latency.Count != got.Tokens) {
				t.Errorf("%d tokens, %d latencies", got.Tokens, got.Latency.Count)
			}
			if !tt.tokens && got.Calls == 0 {
				t.Error("no calls")
			}
			if got.Seconds < 0.2 || got.After.CPU <= got.Before.CPU || got.Idle.RSS == 0 {
				t.Errorf("measured %v s, %v to %v", got.Seconds, got.Before, got.After)
			}
		})
	}
}

func TestRunRefusesNonsense(t *testing.T) {
	tests := map[string]func(*load.Spec){
		"callers":    func(s *load.Spec) { s.Conns = 5 },
		"duration":   func(s *load.Spec) { s.Duration = 0 },
		"rate":       func(s *load.Spec) { s.Mode = load.Open },
		"needs":      func(s *load.Spec) { s.Mode = load.Stream },
		"unknown":    func(s *load.Spec) { s.Mode = "round" },
		"first call": func(s *load.Spec) { s.Ask.Output = 1 << 20 },
	}
	address := serve(t, backend.New("m", 1<<10))
	for text, change := range tests {
		t.Run(text, func(t *testing.T) {
			s := spec(address)
			change(&s)
			if _, err := load.Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("error %v, want one about %q", err, text)
			}
		})
	}
}

// failing answers the first n calls well and refuses the rest.
func failing(n int64) *grpc.Server {
	var calls atomic.Int64
	answers := kserve.NewAnswers(128)
	return grpc.NewServer(grpc.ForceServerCodecV2(kserve.Codec{}),
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			var in kserve.Raw
			if err := s.RecvMsg(&in); err != nil {
				return err
			}
			if calls.Add(1) > n {
				return status.Error(codes.PermissionDenied, "enough")
			}
			out, err := answers.Infer(kserve.Ask{Model: "m", Output: 128})
			if err != nil {
				return err
			}
			return s.SendMsg(out)
		}))
}

func TestRunCountsRefusals(t *testing.T) {
	s := spec(serve(t, failing(3)))
	s.Conns, s.Callers = 1, 1
	got, err := load.Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got.Errors == 0 || !strings.Contains(got.FirstError, "enough") {
		t.Errorf("%d errors, the first %q", got.Errors, got.FirstError)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	s := spec(serve(t, backend.New("m", 1<<10)))
	s.Duration = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := load.Run(ctx, s); err == nil && time.Since(began) > 10*time.Second {
		t.Error("went on after its context")
	}
}
