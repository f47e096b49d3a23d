// Command pipe is a gRPC proxy without a feature: what any method sends goes
// to one backend, by reference, and what comes back goes back. It is plain
// grpc-go, untuned: a stream handler for unknown services and a raw codec. It
// is the yardstick that a gateway in Go is measured by.
//
//	pipe -listen 127.0.0.1:9001 -backend 127.0.0.1:9000
package main

import (
	"context"
	_ "expvar" // the heap's counters for the benchmark
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/bench/kserve"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pipe:", err)
		os.Exit(1)
	}
}

// run serves until standard input ends, which it does with the parent.
func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	backend := flag.String("backend", "", "address to forward to")
	debug := flag.String("debug", "127.0.0.1:0", "address of /debug/vars")
	flag.Parse()
	cc, err := dial(*backend)
	if err != nil {
		return err
	}
	defer cc.Close()
	s := newServer(cc)
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	vars, err := net.Listen("tcp", *debug)
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(vars, nil) }()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		s.Stop()
	}()
	return s.Serve(l)
}

func dial(backend string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+backend,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(kserve.Codec{}), grpc.MaxCallRecvMsgSize(math.MaxInt32)))
}

func newServer(cc *grpc.ClientConn) *grpc.Server {
	return grpc.NewServer(
		grpc.ForceServerCodecV2(kserve.Codec{}),
		grpc.MaxRecvMsgSize(math.MaxInt32),
		grpc.UnknownServiceHandler(func(_ any, in grpc.ServerStream) error { return forward(cc, in) }))
}

// forward carries one call. Requests go in a goroutine of their own, answers
// in the handler's; the end of the answers ends the call.
func forward(cc *grpc.ClientConn, in grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(in)
	md, _ := metadata.FromIncomingContext(in.Context())
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(in.Context(), md))
	defer cancel()
	out, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	go func() {
		if err := copyMessages(out.SendMsg, in.RecvMsg); err != io.EOF {
			cancel()
			return
		}
		_ = out.CloseSend() // its error is the answers' error too
	}()
	header, err := out.Header()
	if err != nil {
		return err
	}
	if err := in.SetHeader(header); err != nil {
		return err
	}
	err = copyMessages(in.SendMsg, out.RecvMsg)
	in.SetTrailer(out.Trailer())
	if err == io.EOF {
		return nil
	}
	return err
}

// copyMessages hands messages over until one side ends; io.EOF is receive's.
func copyMessages(send, receive func(any) error) error {
	for {
		var m kserve.Raw
		if err := receive(&m); err != nil {
			return err
		}
		if err := send(&m); err != nil {
			return err
		}
	}
}
