package rest_test

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-gateway/sluice/access"
)

func pbName(name string) protoreflect.Name { return protoreflect.Name(name) }

// newMessage is an empty message of a type of the contract.
func newMessage(d protoreflect.MessageDescriptor) proto.Message {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		panic(err)
	}
	return t.New().Interface()
}

// toStatus is what the chain's edge makes of an error of Sluice's own.
func toStatus(err error) error {
	e, ok := access.AsError(err)
	if !ok {
		return err
	}
	code := map[access.ErrorKind]codes.Code{
		access.Unauthenticated: codes.Unauthenticated, access.PermissionDenied: codes.PermissionDenied, access.NeedsApproval: codes.FailedPrecondition,
		access.Exhausted: codes.ResourceExhausted, access.Unavailable: codes.Unavailable, access.Malformed: codes.InvalidArgument,
		access.Unimplemented: codes.Unimplemented, access.NotFound: codes.NotFound, access.Internal: codes.Internal,
	}[e.Kind]
	st := status.New(code, e.Message)
	st, _ = st.WithDetails(&errdetails.ErrorInfo{Reason: e.Reason, Domain: "sluice"})
	if e.RetryAfter > 0 {
		st, _ = st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	return st.Err()
}
