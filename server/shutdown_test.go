package server_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/server"
)

// read reads one of the gateway's files.
func (g *gateway) read(name string) string {
	g.t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

// TestShutdownLetsOpenCallsEnd, unary ones and streams, and lets nobody new in.
func TestShutdownLetsOpenCallsEnd(t *testing.T) {
	free := make(chan struct{})
	b := backendstest.Listen(t, backendstest.Script{
		"ModelInfer":       {backendstest.Receive(), backendstest.Until(free), backendstest.Send(&inference.ModelInferResponse{})},
		"ModelStreamInfer": {backendstest.Receive(), backendstest.Until(free), backendstest.Send(&inference.ModelStreamInferResponse{}), backendstest.ReceiveAll()},
		"ModelConfig":      plainModel,
	})
	g := start(t, setup{backend: b.Addr, server: "  shutdown_grace: 20s"})
	ctx := g.as("bob")
	ended := make(chan error, 1)
	go func() { _, err := g.ModelInfer(ctx, add("simple")); ended <- err }()
	stream, err := g.ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(add("simple")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both calls", func() bool { return len(sentTo(b.Calls())) == 2 })
	g.end()
	late := inference.NewGRPCInferenceServiceClient(g.Dial(nil))
	eventually(t, "the door to close", func() bool {
		ctx, cancel := context.WithTimeout(g.as(""), time.Second)
		defer cancel()
		_, err := late.ServerLive(ctx, &inference.ServerLiveRequest{})
		return err != nil
	})
	close(free)
	if err := <-ended; err != nil {
		t.Errorf("the call that was open: %v", err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Errorf("the stream that was open: %v", err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil || err.Error() != "EOF" {
		t.Errorf("the stream ended with %v", err)
	}
	if err := <-g.ended; err != nil {
		t.Errorf("the gateway ended with %v", err)
	}
}

// TestShutdownDoesNotWaitForEver for a server that hangs, or a client that keeps
// its stream open.
func TestShutdownDoesNotWaitForEver(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.Hang()}})
	g := start(t, setup{backend: b.Addr, cut: true, server: "  shutdown_grace: 100ms"})
	ctx := g.as("bob")
	ended := make(chan error, 1)
	go func() { _, err := g.ModelInfer(ctx, add("simple")); ended <- err }()
	stream, err := g.ModelStreamInfer(ctx) // and nothing on it
	if err != nil {
		t.Fatal(err)
	}
	seen := last(t, b)
	g.end()
	if err := <-g.ended; err != nil {
		t.Errorf("the gateway ended with %v", err)
	}
	if err := <-ended; status.Code(err) != codes.Unavailable {
		t.Errorf("the call that was open: %v", err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream that was open: %v", err)
	}
	eventually(t, "the server to see the end", seen.Ended)
}

// TestStoppedBeforeItServes is no error: whoever stops a gateway need not wait until
// it has taken its first connection.
func TestStoppedBeforeItServes(t *testing.T) {
	g := prepare(t, setup{})
	for range 20 {
		ctx, stop := context.WithCancel(t.Context())
		err := server.Run(ctx, server.Options{
			ConfigPath: filepath.Join(g.dir, "sluice.yaml"), Logger: slog.New(slog.DiscardHandler),
			Ready: func(server.Addresses) { stop() },
		})
		if err != nil {
			t.Fatalf("it ended with %v", err)
		}
	}
}
