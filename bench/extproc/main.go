// Command extproc is an external processor for Envoy that decides, as Sluice
// does, who may infer on which model: it reads the model's name from the
// request's body and the caller's groups from the token that Envoy verified.
// It is a module of its own, so that Envoy's API is no dependency of Sluice.
//
//	extproc -listen 127.0.0.1:9002 -group ml-users
package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "extproc:", err)
		os.Exit(1)
	}
}

// run serves until standard input ends, which it does with the parent.
func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	group := flag.String("group", "", "group whose members may infer on every model")
	flag.Parse()
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32))
	extproc.RegisterExternalProcessorServer(s, &processor{group: *group})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		s.Stop()
	}()
	return s.Serve(l)
}
