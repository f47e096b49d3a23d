package backendstest

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// codeOf is the gRPC code that a caller gets for a backend's error.
func codeOf(err error) codes.Code {
	if e, ok := access.AsError(err); ok {
		switch e.Kind {
		case access.Unavailable:
			return codes.Unavailable
		case access.Exhausted:
			return codes.ResourceExhausted
		case access.Malformed:
			return codes.InvalidArgument
		case access.Unimplemented:
			return codes.Unimplemented
		case access.NotFound:
			return codes.NotFound
		case access.PermissionDenied:
			return codes.PermissionDenied
		}
		return codes.Internal
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	}
	return status.Code(err)
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if got := codeOf(err); got != want {
		t.Errorf("%s: got %v (%v), want %v", what, got, err, want)
	}
}

// wantAway wants Sluice's own error of a server that does not answer as it should.
func wantAway(t *testing.T, what string, err error) {
	t.Helper()
	e, ok := access.AsError(err)
	if !ok || e.Kind != access.Unavailable {
		t.Errorf("%s: got %v, want an access.Error of kind Unavailable", what, err)
	}
}

func client(b backends.Backend) inference.GRPCInferenceServiceClient {
	return inference.NewGRPCInferenceServiceClient(b)
}

// result is what came back on a stream until it ended.
type result struct {
	answers []*inference.ModelStreamInferResponse
	err     error // nil for a good end
}

// failed tells how the request id failed: with an error message, or because the stream did.
func (r result) failed(id string) bool {
	for _, a := range r.answers {
		if a.GetErrorMessage() != "" && a.GetInferResponse().GetId() == id {
			return true
		}
	}
	return r.err != nil
}

// stream sends requests on one stream, half-closes, and collects what comes.
func stream(ctx context.Context, b backends.Backend, requests ...*inference.ModelInferRequest) result {
	s, err := client(b).ModelStreamInfer(ctx)
	if err != nil {
		return result{err: err}
	}
	for _, r := range requests {
		if err := s.Send(r); err != nil {
			break // the reason is what is received
		}
	}
	if err := s.CloseSend(); err != nil {
		return result{err: err}
	}
	return collect(s)
}

func collect(s inference.GRPCInferenceService_ModelStreamInferClient) (r result) {
	for {
		a, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return r
		}
		if err != nil {
			r.err = err
			return r
		}
		r.answers = append(r.answers, a)
	}
}
