package record_test

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors/record"
	"github.com/sluice-gateway/sluice/wire"
)

// BenchmarkToken is what the record makes of a token on its way out, with its
// payload and without. What the workers do later is package payload's to measure.
func BenchmarkToken(b *testing.B) {
	for name, kept := range map[string]bool{"record": false, "record and payload": true} {
		b.Run(name, func(b *testing.B) {
			c := newCapturing(b)
			if !kept {
				c.Payloads.Close(b.Context())
				c.Payloads = nil
			}
			token, last := benchToken(b, false), benchToken(b, true)
			defer token.Free()
			defer last.Free()
			const tokens = 500 // of one request
			ids := make([]string, b.N/tokens+1)
			for i := range ids {
				ids[i] = "1"
			}
			c.stream(b, func(ss grpc.ServerStream) error {
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					m := token
					switch i % tokens {
					case 0:
						f := read(b, ss, true)
						token.Follow(f)
						last.Follow(f)
					case tokens - 1:
						m = last
					}
					c.call.OnAnswer()
					if err := ss.SendMsg(m); err != nil {
						return err
					}
				}
				b.StopTimer()
				return nil
			}, ids...)
			if c.Payloads == nil {
				_ = c.Audit.Close()
				return
			}
			c.end(b)
		})
	}
}

// benchToken is a token of the demo's.
func benchToken(b *testing.B, last bool) *wire.Message {
	final := &pb.InferParameter{ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: last}}
	m, err := wire.FromProto(&pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{
		ModelName: "tokens", ModelVersion: "1", Id: "1", Parameters: map[string]*pb.InferParameter{"triton_final_response": final},
		Outputs:           []*pb.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
		RawOutputContents: [][]byte{{6, 0, 0, 0, ' ', 't', 'o', 'k', 'e', 'n'}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// BenchmarkTensors is what looking at a request's and an answer's tensors takes.
func BenchmarkTensors(b *testing.B) {
	in, err := proto.Marshal(&pb.ModelInferRequest{
		ModelName: "simple", Id: "1", RawInputContents: [][]byte{make([]byte, 64), make([]byte, 64)},
		Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, 16}}, {Name: "INPUT1", Datatype: "INT32", Shape: []int64{1, 16}}},
	})
	if err != nil {
		b.Fatal(err)
	}
	record.LookAt(b, in)
}
