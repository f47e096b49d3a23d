package inference

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// modelInfer is the data path: the request's bytes go on by reference, unless
// they could be read in two ways.
func (s *Service) modelInfer(ctx context.Context, req any) (any, error) {
	r, err := request(req)
	if err != nil {
		return nil, err
	}
	message, err := r.Message()
	if err != nil {
		return nil, err
	}
	view, err := message.InferRequest()
	if err != nil {
		return nil, err
	}
	b, refused := s.find(ctx, view.ModelName().String())
	if refused != nil {
		return nil, refused
	}
	if err := s.guard(ctx, b, view); err != nil {
		return nil, err
	}
	if view.Ambiguous() {
		if message, err = view.Canonical(); err != nil {
			return nil, err
		}
		defer message.Free()
	}
	return answer(forward(ctx, b, pb.GRPCInferenceService_ModelInfer_FullMethodName, message))
}

// sound refuses the answer of a server that does not speak the protocol. That of
// a control RPC is decoded for it and goes on as it came; nothing on the data
// path is looked into that no rule reads.
func sound(method string, resp *wire.Message) error {
	if method == pb.GRPCInferenceService_ModelInfer_FullMethodName {
		if err := resp.Shallow(); err != nil {
			return backends.NotKServe(err)
		}
		return nil
	}
	name := protoreflect.Name(method[strings.LastIndexByte(method, '/')+1:])
	rpc := pb.File_inference_grpc_service_proto.Services().ByName("GRPCInferenceService").Methods().ByName(name)
	if rpc == nil {
		return nil
	}
	if err := resp.Unmarshal(dynamicpb.NewMessage(rpc.Output())); err != nil {
		return backends.NotKServe(err)
	}
	return nil
}

// guard keeps from the backend what would kill it.
func (s *Service) guard(ctx context.Context, b backends.Backend, view wire.InferRequest) error {
	if !b.Traits().Guard.BytesClassification {
		return nil
	}
	var config *pb.ModelConfig
	var known bool
	for output := range view.Outputs() {
		if _, asked := output.Parameters().Get("classification"); !asked {
			continue
		}
		if !known { // asked for once, however many outputs there are
			var err error
			known = true
			if config, err = s.models[b.Name()].Config(ctx, view.ModelName().String(), view.ModelVersion().String()); err != nil {
				return err
			}
		}
		if name := output.Name().String(); !numeric(config, name) {
			return &access.Error{
				Kind: access.Malformed, Reason: access.ReasonUnsafeForBackend,
				Message: fmt.Sprintf("output %s is not numeric and can't be classified; ask for the output itself", access.Quote(name)),
			}
		}
	}
	return nil
}

// numeric tells whether an output is known not to be BYTES. An output that the
// model does not list is left to the backend, which refuses it before it runs.
func numeric(config *pb.ModelConfig, output string) bool {
	for _, o := range config.GetOutput() {
		if o.GetName() == output {
			return o.GetDataType() != pb.DataType_TYPE_STRING
		}
	}
	return true
}
