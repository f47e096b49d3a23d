package triton_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/backends/triton"
)

func TestMain(m *testing.M) { backendstest.Main(m) }

// TestSuite: Triton lacks nothing, as all the others are measured by it.
func TestSuite(t *testing.T) {
	backendstest.Run(t, backendstest.TritonHarness(func(t *testing.T, s backendstest.Setup, server *backendstest.Server) backends.Backend {
		dial := func(context.Context, string) (net.Conn, error) { return nil, errors.New("dial tcp: refused") }
		if server != nil {
			dial = server.Dial
		}
		b, err := triton.New(triton.Options{
			Name: "gpu", Address: "10.1.2.3:8001", Credentials: insecure.NewCredentials(), Traits: triton.Triton(backends.Guard{}),
			Forwarder: s.Forwarder, Pool: s.Pool,
			Verify: &connection.Verify{Log: slog.New(slog.DiscardHandler)}, Dial: []grpc.DialOption{grpc.WithContextDialer(dial)},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		return b
	}))
}
