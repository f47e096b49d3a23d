package interceptors

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-gateway/sluice/access"
)

// Domain is the google.rpc.ErrorInfo domain of every refusal of our own.
const Domain = "sluice"

// grpcCodes maps the kinds of errors to gRPC codes: DESIGN's table "Answers to
// what is wrong".
var grpcCodes = map[access.ErrorKind]codes.Code{
	access.Internal:         codes.Internal,
	access.Unauthenticated:  codes.Unauthenticated,
	access.PermissionDenied: codes.PermissionDenied,
	access.NeedsApproval:    codes.FailedPrecondition,
	access.Exhausted:        codes.ResourceExhausted,
	access.Unavailable:      codes.Unavailable,
	access.Malformed:        codes.InvalidArgument,
	access.Unimplemented:    codes.Unimplemented,
	access.NotFound:         codes.NotFound,
}

// deadlineText is what clients of Triton see at their deadline: their own gRPC
// library's words (protocol/kserve-v2.md, section 4).
const deadlineText = "Deadline Exceeded"

// ToStatus is the one place where an error becomes what the caller sees. A
// backend's status goes through unchanged; an [access.Error] becomes its kind's
// code with google.rpc.ErrorInfo; the end of the caller's context becomes
// CANCELLED or DEADLINE_EXCEEDED; anything else is INTERNAL without its text,
// which is for the log alone.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := access.AsError(err); ok {
		return fromError(e)
	}
	if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return status.Error(codes.DeadlineExceeded, deadlineText)
	}
	if errors.Is(err, context.Canceled) {
		return status.FromContextError(err).Err()
	}
	return fromError(ErrInternal)
}

// ErrInternal is what a call ends with whose handling panicked, or failed in a way
// that the caller is not to see.
var ErrInternal = &access.Error{Kind: access.Internal, Reason: access.ReasonInternal, Message: "internal error; the gateway's log says more"}

func fromError(e *access.Error) error {
	st := status.New(grpcCodes[e.Kind], e.Message)
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: e.Reason, Domain: Domain}}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	if with, err := st.WithDetails(details...); err == nil {
		st = with
	}
	return st.Err()
}
