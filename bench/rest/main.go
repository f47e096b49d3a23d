// Command rest compares what the REST door costs Sluice with what the gRPC door
// costs it for the same calls, on one machine in one run: CPU time of Sluice's
// process for each call or token, and its peak memory. One caller, one call at a
// time, so that nothing but the call is measured.
//
//	go build -o bin/sluice ./cmd/sluice && go run ./bench/rest
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/bench/backend"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench/rest:", err)
		os.Exit(1)
	}
}

// model is the one that the backend has.
const model = "bench"

// maxTensor is the largest tensor that is asked for, in bytes.
const maxTensor = 16 << 20

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 1 && args[0] == "backend" {
		return serveBackend(out)
	}
	flags := flag.NewFlagSet("bench/rest", flag.ContinueOnError)
	binary := flags.String("sluice", "bin/sluice", "the binary to measure")
	rounds := flags.Int("rounds", 3, "how often each scenario is measured; the least CPU counts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	g, err := startGateway(ctx, *binary)
	if err != nil {
		return err
	}
	defer g.stop()
	fmt.Fprintln(out, "| scenario | gRPC | REST | ratio | bar |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- |")
	for _, s := range scenarios {
		line, err := s.measure(ctx, g, *rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintln(out, line)
	}
	return nil
}

// serveBackend serves the backend on a free port, which it prints.
func serveBackend(out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, l.Addr()); err != nil {
		return err
	}
	if err := backend.New(model, maxTensor).Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// child starts a program that ends with this one.
func child(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	return cmd
}
