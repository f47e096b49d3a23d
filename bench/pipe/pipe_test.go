package main

import (
	"errors"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

func serve(t *testing.T, s *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return l.Addr().String()
}

// model answers what the tests ask, with metadata before and after.
type model struct {
	inference.UnimplementedGRPCInferenceServiceServer
}

func (model) ModelStreamInfer(s inference.GRPCInferenceService_ModelStreamInferServer) error {
	md, _ := metadata.FromIncomingContext(s.Context())
	if err := s.SetHeader(metadata.Pairs("before", md.Get("asked")[0])); err != nil {
		return err
	}
	s.SetTrailer(metadata.Pairs("after", "trailer"))
	for {
		req, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if req.ModelName == "" {
			return status.Error(codes.NotFound, "no such model")
		}
		if err := s.Send(&inference.ModelStreamInferResponse{
			InferResponse: &inference.ModelInferResponse{Id: req.Id, RawOutputContents: req.RawInputContents},
		}); err != nil {
			return err
		}
	}
}

func stream(t *testing.T) inference.GRPCInferenceService_ModelStreamInferClient {
	t.Helper()
	s := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	inference.RegisterGRPCInferenceServiceServer(s, model{})
	behind, err := dial(serve(t, s))
	if err != nil {
		t.Fatal(err)
	}
	cc, err := grpc.NewClient("passthrough:///"+serve(t, newServer(behind)),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cc.Close(), behind.Close()); err != nil {
			t.Error(err)
		}
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "asked", "who")
	client, err := inference.NewGRPCInferenceServiceClient(cc).ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestPipeCarriesAll(t *testing.T) {
	s := stream(t)
	for id, size := range map[string]int{"empty": 0, "small": 100, "large": 8 << 20} {
		req := &inference.ModelInferRequest{ModelName: "m", Id: id, RawInputContents: [][]byte{make([]byte, size)}}
		if err := s.Send(req); err != nil {
			t.Fatal(err)
		}
		resp, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.InferResponse; got.Id != id || len(got.RawOutputContents[0]) != size {
			t.Errorf("%s came back as %s of %d bytes", id, got.Id, len(got.RawOutputContents[0]))
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}
	header, err := s.Header()
	if err != nil || header.Get("before")[0] != "who" || s.Trailer().Get("after")[0] != "trailer" {
		t.Errorf("header %v, %v, trailer %v", header, err, s.Trailer())
	}
}

func TestPipeCarriesStatus(t *testing.T) {
	s := stream(t)
	if err := s.Send(&inference.ModelInferRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Recv()
	if status.Code(err) != codes.NotFound || status.Convert(err).Message() != "no such model" {
		t.Errorf("error %v", err)
	}
	if got := s.Trailer().Get("after"); len(got) != 1 {
		t.Errorf("trailer of a failed call: %v", s.Trailer())
	}
}
