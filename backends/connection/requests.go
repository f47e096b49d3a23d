package connection

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// Check refuses a request for ModelInfer that servers other than Triton take,
// and read otherwise than Triton does: what it asks for would be missing from
// the answer without a word, or a rule would have read other data than the model
// (MLServer 1.7.1 counts raw contents past the inputs that have typed ones, and of
// typed ones takes the field that is set, whatever the datatype). The texts about
// contents begin as Triton's own.
func Check(r wire.InferRequest) *access.Error {
	for in := range r.Inputs() {
		switch {
		case in.HasContents() && r.NumRaw() > 0:
			return &access.Error{
				Kind: access.Malformed, Reason: access.ReasonMalformed,
				Message: fmt.Sprintf("contents field must not be specified when using raw_input_contents for %s for model %s",
					access.Quote(in.Name().String()), access.Quote(r.ModelName().String())),
			}
		case in.HasContents() && !in.Contents().OnlyFor(in.Datatype().String()):
			return &access.Error{
				Kind: access.Malformed, Reason: access.ReasonMalformed,
				Message: fmt.Sprintf("unexpected explicit tensor data for input tensor %s for model %s, expected datatype %s",
					access.Quote(in.Name().String()), access.Quote(r.ModelName().String()), access.Quote(in.Datatype().String())),
			}
		case in.Parameters().Has("shared_memory_region"):
			return Unsupported("shared memory; send the tensors inside the request")
		}
	}
	for out := range r.Outputs() {
		switch {
		case out.Parameters().Has("shared_memory_region"):
			return Unsupported("shared memory; take the outputs from the answer")
		case out.Parameters().Has("classification"):
			return Unsupported("classification; ask for the output itself")
		}
	}
	return nil
}

// Unsupported is the error of a server that has no such thing as what says.
func Unsupported(what string) *access.Error {
	return &access.Error{Kind: access.Unimplemented, Reason: access.ReasonUnsupported, Message: "this model's server has no " + what}
}

// Requested returns the message that req is, for a call of ModelInfer: req
// itself, or one made of it, which made tells and is the caller's to free.
func Requested(req any) (m *wire.Message, made bool, err error) {
	switch req := req.(type) {
	case *wire.Message:
		return req, false, nil
	case wire.HandOver:
		return req.Message, false, nil
	case proto.Message:
		m, err := wire.FromProto(req)
		return m, true, err
	}
	return nil, false, fmt.Errorf("a request of type %T", req)
}

// Decode reads a request that may be decoded already into dst.
func Decode(req any, dst proto.Message) error {
	switch req := req.(type) {
	case *wire.Message:
		return req.Unmarshal(dst)
	case wire.HandOver:
		return req.Unmarshal(dst)
	case proto.Message:
		proto.Merge(dst, req)
		return nil
	}
	return fmt.Errorf("a request of type %T", req)
}

// Give makes m the answer of a call: resp is a *wire.Message or of m's type.
func Give(resp any, m proto.Message) error {
	switch resp := resp.(type) {
	case *wire.Message:
		made, err := wire.FromProto(m)
		if err != nil {
			return err
		}
		return resp.Take(made)
	case proto.Message:
		proto.Reset(resp)
		proto.Merge(resp, m)
		return nil
	}
	return fmt.Errorf("an answer of type %T", resp)
}

// Missing lists the RPCs of the service but for those that a server serves, by
// their full names.
func Missing(serves ...string) map[string]bool {
	missing := make(map[string]bool)
	desc := inference.GRPCInferenceService_ServiceDesc
	for _, m := range desc.Methods {
		missing["/"+desc.ServiceName+"/"+m.MethodName] = true
	}
	for _, s := range desc.Streams {
		missing["/"+desc.ServiceName+"/"+s.StreamName] = true
	}
	for _, name := range serves {
		delete(missing, name)
	}
	return missing
}

// DropTrailers takes metadata out of what a call with opts has received: those
// whose names drop tells.
func DropTrailers(opts []grpc.CallOption, drop func(name string) bool) {
	for _, o := range opts {
		if t, ok := o.(grpc.TrailerCallOption); ok {
			for name := range *t.TrailerAddr {
				if drop(name) {
					delete(*t.TrailerAddr, name)
				}
			}
		}
	}
}
