package triton_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/backends/triton"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// dialer connects a backend to what a test wants.
type dialer = func(context.Context, string) (net.Conn, error)

func open(t *testing.T, traits backends.Traits, dial dialer) *triton.Backend {
	t.Helper()
	b, err := triton.New(triton.Options{
		Name: "gpu", Address: "10.1.2.3:8001", Credentials: insecure.NewCredentials(), Traits: traits,
		Verify: &connection.Verify{Log: slog.New(slog.DiscardHandler)},
		Dial:   []grpc.DialOption{grpc.WithContextDialer(dial)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// infer makes the two kinds of calls.
func infer(ctx context.Context, b *triton.Backend) (unary, stream error) {
	_, unary = inference.NewGRPCInferenceServiceClient(b).ModelInfer(ctx, &inference.ModelInferRequest{})
	s, stream := inference.NewGRPCInferenceServiceClient(b).ModelStreamInfer(ctx)
	if stream == nil {
		_ = s.Send(&inference.ModelInferRequest{}) // the reason is what is received
		_, stream = s.Recv()
	}
	return unary, stream
}

func away(err error) bool {
	e, ok := access.AsError(err)
	return ok && e.Kind == access.Unavailable && e.Reason == access.ReasonBackendAway && !strings.Contains(e.Message, "10.1.2.3")
}

// TestServersThatCannotBeReached are told apart from what servers say, and the
// caller is not told where they are.
func TestServersThatCannotBeReached(t *testing.T) {
	text := func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }
	for name, dial := range map[string]func(*testing.T) dialer{
		"nobody listens": func(*testing.T) dialer {
			return func(context.Context, string) (net.Conn, error) {
				return nil, errors.New("dial tcp 10.1.2.3:8001: refused")
			}
		},
		"nobody answers": func(*testing.T) dialer {
			return func(ctx context.Context, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		},
		"it hangs up":  func(t *testing.T) dialer { return backendstest.Raw(t, func(net.Conn) {}) },
		"it is HTTP/1": func(t *testing.T) dialer { return backendstest.Raw(t, text) },
		"it breaks off": func(t *testing.T) dialer {
			return backendstest.Start(t, backendstest.Script{backendstest.Any: {backendstest.Receive(), backendstest.Reset()}}).Dial
		},
		"it sends no RPC": func(t *testing.T) dialer {
			return backendstest.Start(t, backendstest.Script{backendstest.Any: {backendstest.Receive(), backendstest.Garbage()}}).Dial
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := open(t, triton.Triton(backends.Guard{}), dial(t))
				before := time.Now()
				unary, stream := infer(t.Context(), b)
				if !away(unary) || !away(stream) {
					t.Errorf("got %v and %v, want that the server is away", unary, stream)
				}
				if took := time.Since(before); took > 10*time.Second {
					t.Errorf("it took %v to say so", took)
				}
			})
		})
	}
}

// TestWhatServersSay goes through as it is, be it about being away.
func TestWhatServersSay(t *testing.T) {
	for _, want := range []*status.Status{
		status.New(codes.Unavailable, "explicit model load / unload is not allowed if polling is enabled"),
		status.New(codes.Unavailable, ""), status.New(codes.Internal, "failed to load 'x', failed to poll from model repository"),
		status.New(codes.Unknown, "EOFError: ran out of input"), status.New(codes.Canceled, "the model gave up"), status.New(codes.Code(77), "?"),
	} {
		t.Run(want.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := backendstest.Start(t, backendstest.Script{backendstest.Any: {backendstest.Receive(), backendstest.Fail(want.Code(), want.Message())}})
				unary, stream := infer(t.Context(), open(t, triton.Triton(backends.Guard{}), s.Dial))
				for _, err := range []error{unary, stream} {
					if got := status.Convert(err); got.Code() != want.Code() || got.Message() != want.Message() {
						t.Errorf("got %v, want %v", err, want)
					}
				}
			})
		})
	}
}

// TestTheCallersEnd is no fault of the server's.
func TestTheCallersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := backendstest.Start(t, backendstest.Script{backendstest.Any: {backendstest.Receive(), backendstest.Hang()}})
		b := open(t, triton.Triton(backends.Guard{}), s.Dial)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if unary, stream := infer(ctx, b); !errors.Is(unary, context.DeadlineExceeded) || !errors.Is(stream, context.DeadlineExceeded) {
			t.Errorf("got %v and %v", unary, stream)
		}
	})
}

func TestClosedBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := backendstest.Start(t, backendstest.Script{})
		b := open(t, triton.Triton(backends.Guard{}), s.Dial)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if unary, stream := infer(t.Context(), b); !away(unary) || !away(stream) {
			t.Errorf("got %v and %v", unary, stream)
		}
	})
}
