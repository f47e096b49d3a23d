package mlserver_test

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
	"github.com/sluice-gateway/sluice/backends/mlserver"
	"github.com/sluice-gateway/sluice/gen/inference"
)

func TestMain(m *testing.M) { backendstest.Main(m) }

// open connects a backend to a double; nil is one that is away.
func open(t *testing.T, s backendstest.Setup, server *backendstest.Server) *mlserver.Backend {
	t.Helper()
	dial := func(context.Context, string) (net.Conn, error) {
		return nil, errors.New("dial tcp 10.1.2.3:8001: refused")
	}
	if server != nil {
		dial = server.Dial
	}
	b, err := mlserver.New(connection.Options{
		Name: "ml", Address: "10.1.2.3:8001", Credentials: insecure.NewCredentials(), Forwarder: s.Forwarder, Pool: s.Pool,
		Verify: &connection.Verify{Log: slog.New(slog.DiscardHandler)},
		Dial:   []grpc.DialOption{grpc.WithContextDialer(dial)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestSuite(t *testing.T) {
	answer := backendstest.EchoAnswer()
	typed := backendstest.EchoRequest()
	typed.RawInputContents = nil
	typed.Inputs[0].Contents = &inference.InferTensorContents{IntContents: []int32{1, -2}}
	answers := []*inference.ModelInferResponse{answer}
	backendstest.Run(t, backendstest.Harness{
		Open: func(t *testing.T, s backendstest.Setup) backends.Backend {
			t.Helper()
			if s.Mode == backendstest.ModeAway {
				return open(t, s, nil)
			}
			return open(t, s, backendstest.Start(t, double(s)))
		},
		Infer:      backendstest.Exchange{Request: backendstest.EchoRequest(), Answers: answers},
		TypedInfer: backendstest.Exchange{Request: typed, Answers: answers},
		Stream:     backendstest.Exchange{Request: &inference.ModelInferRequest{ModelName: "chunks"}, Answers: backendstest.Chunks()},
		LoadName:   "spare",
		Decoupled:  true,
		Lacks: map[backendstest.Ability]string{
			backendstest.Statistics: "MLServer 1.7.1 counts for Prometheus alone",
		},
	})
}
