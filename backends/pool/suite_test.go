package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/backends/triton"
)

// TestSuite: a pool is a backend like its replicas, whether it has one or more.
func TestSuite(t *testing.T) {
	for _, replicas := range []int{1, 2} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			backendstest.Run(t, backendstest.TritonHarness(func(t *testing.T, s backendstest.Setup, server *backendstest.Server) backends.Backend {
				t.Helper()
				dial := func(context.Context, string) (net.Conn, error) { return nil, errors.New("dial tcp: refused") }
				if server != nil {
					dial = server.Dial
				}
				open := func(address, _ string) (backends.Backend, error) {
					return triton.New(triton.Options{
						Name: "gpu", Address: address, Credentials: insecure.NewCredentials(), Traits: triton.Triton(backends.Guard{}),
						Forwarder: s.Forwarder, Pool: s.Pool, Dial: []grpc.DialOption{grpc.WithContextDialer(dial)},
					})
				}
				p, err := pool.New(pool.Options{Config: config([]string{"10.1.2.3:8001", "10.1.2.4:8001"}[:replicas]...), Open: open, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = p.Close() })
				return p
			}))
		})
	}
}
