package guards_test

import (
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors/guards"
	"github.com/sluice-gateway/sluice/policy/guard"
	"github.com/sluice-gateway/sluice/wire"
)

// BenchmarkMessage is what the step adds to a message of a stream: beside no step,
// with guards about other models, and with one about this model.
func BenchmarkMessage(b *testing.B) {
	raw, err := proto.Marshal(&pb.ModelInferRequest{
		ModelName: "simple", Parameters: map[string]*pb.InferParameter{"max_tokens": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 5}}},
		Inputs:           []*pb.ModelInferRequest_InferInputTensor{{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, 16}}},
		RawInputContents: [][]byte{make([]byte, 64)},
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ name, guards string }{
		{"no step", ""},
		{"unguarded", `guards: [{name: g, verbs: [infer], models: [other, "prod-*"], when: "size(text('text_input')) > 9", deny: no}]`},
		{"parameters", `guards: [{name: g, verbs: [infer], when: "has(parameters.max_tokens) && parameters.max_tokens > 100", deny: no}]`},
	} {
		b.Run(c.name, func(b *testing.B) {
			gate := &guards.Gate{Engine: new(guard.Engine)}
			if c.guards != "" {
				gate.Engine.Replace(compile(b, c.guards))
			}
			ss := &endless{stream{ctx: access.WithCall(b.Context(), &access.Call{})}, raw}
			read := func(_ any, ss grpc.ServerStream) error {
				for b.Loop() {
					var m wire.Message
					if err := ss.RecvMsg(&m); err != nil {
						return err
					}
					if _, err := m.InferRequest(); err != nil { // policy's, before
						return err
					}
					m.Free()
				}
				return io.EOF
			}
			b.ReportAllocs()
			err := error(nil)
			if c.guards == "" {
				err = read(nil, ss)
			} else {
				info := &grpc.StreamServerInfo{FullMethod: pb.GRPCInferenceService_ModelStreamInfer_FullMethodName}
				err = gate.Step().Stream(nil, ss, info, read)
			}
			if !errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
		})
	}
}

// endless brings one message for ever.
type endless struct {
	stream
	raw []byte
}

func (s *endless) RecvMsg(m any) error { return m.(*wire.Message).Take(wire.FromBytes(s.raw)) }
