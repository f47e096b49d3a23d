package connection_test

import (
	"log/slog"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// BenchmarkInvoke is a unary call in memory, with the server's kind verified and
// without.
func BenchmarkInvoke(b *testing.B) {
	for name, verify := range map[string]*connection.Verify{"verified": {Log: slog.New(slog.DiscardHandler)}, "believed": nil} {
		b.Run(name, func(b *testing.B) {
			server := backendstest.Start(b, backendstest.Script{
				"ServerMetadata": {backendstest.Receive(), backendstest.Send(tritonSays)},
				"ServerLive":     {backendstest.Receive(), backendstest.Send(&inference.ServerLiveResponse{Live: true})},
			})
			c, err := connection.New(connection.Options{
				Name: "gpu", Kind: connection.Triton, Credentials: insecure.NewCredentials(), Verify: verify,
				Dial: []grpc.DialOption{grpc.WithContextDialer(server.Dial)},
			})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			client := inference.NewGRPCInferenceServiceClient(c)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.ServerLive(b.Context(), &inference.ServerLiveRequest{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
