package models_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gateway/sluice/demo/models"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// The server on a port of its own, asked for what it has.
func Example() {
	s := models.New(models.Options{})
	g := grpc.NewServer(s.ServerOptions()...)
	s.Register(g)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- g.Serve(l) }()

	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	index, err := inference.NewGRPCInferenceServiceClient(conn).RepositoryIndex(context.Background(), &inference.RepositoryIndexRequest{})
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range index.GetModels() {
		fmt.Println(m.GetName(), m.GetState())
	}

	_ = conn.Close()
	g.Stop()
	fmt.Println(<-served)
	// Output:
	// identity_fp32 READY
	// prod-simple READY
	// repeat_int32 READY
	// simple READY
	// simple_identity READY
	// simple_sequence READY
	// simple_string READY
	// tokens READY
	// <nil>
}
