package backendstest

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
)

const (
	echoModel   = "echo"   // answers its input
	chunksModel = "chunks" // decoupled: answers a text in parts
	spareModel  = "spare"  // to be loaded and unloaded
)

// TritonHarness is a [Harness] whose double behaves as Triton does; open
// connects the backend under test to it. For [ModeAway] server is nil.
func TritonHarness(open func(t *testing.T, s Setup, server *Server) backends.Backend) Harness {
	return Harness{
		Open: func(t *testing.T, s Setup) backends.Backend {
			t.Helper()
			var server *Server
			if s.Mode != ModeAway {
				server = Start(t, TritonScript(s))
			}
			return open(t, s, server)
		},
		Infer: Exchange{EchoRequest(), []*inference.ModelInferResponse{EchoAnswer()}},
		TypedInfer: Exchange{
			&inference.ModelInferRequest{ModelName: echoModel, Inputs: []*inference.ModelInferRequest_InferInputTensor{{
				Name: "IN", Datatype: "INT32", Shape: []int64{2}, Contents: &inference.InferTensorContents{IntContents: []int32{1, -2}},
			}}},
			[]*inference.ModelInferResponse{EchoAnswer()},
		},
		Stream:    Exchange{&inference.ModelInferRequest{ModelName: chunksModel}, Chunks()},
		LoadName:  spareModel,
		Decoupled: true,
	}
}

// EchoRequest asks the model "echo" for two INT32, in raw contents.
func EchoRequest() *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName:        echoModel,
		Inputs:           []*inference.ModelInferRequest_InferInputTensor{{Name: "IN", Datatype: "INT32", Shape: []int64{2}}},
		RawInputContents: [][]byte{{1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff}},
	}
}

// EchoAnswer is what [EchoRequest] is answered with.
func EchoAnswer() *inference.ModelInferResponse {
	return &inference.ModelInferResponse{
		ModelName: echoModel, ModelVersion: "1",
		Outputs:           []*inference.ModelInferResponse_InferOutputTensor{{Name: "OUT", Datatype: "INT32", Shape: []int64{2}}},
		RawOutputContents: [][]byte{{1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff}},
	}
}

// Chunks are the parts that the model "chunks" answers.
func Chunks() []*inference.ModelInferResponse {
	var all []*inference.ModelInferResponse
	for _, text := range []string{"What ", "a ", "day"} {
		all = append(all, &inference.ModelInferResponse{
			ModelName: chunksModel, ModelVersion: "1",
			Outputs:           []*inference.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
			RawOutputContents: [][]byte{append([]byte{byte(len(text)), 0, 0, 0}, text...)},
		})
	}
	return all
}

// TritonScript is the double of [TritonHarness].
func TritonScript(s Setup) Script {
	switch s.Mode {
	case ModeGarbage:
		return Script{Any: {Receive(), Garbage()}}
	case ModeHangs:
		return withTriton(s, []Step{Receive(), Observe(s.Observer, Infer, nil), Hang()}, []Step{Receive(), Observe(s.Observer, Stream, nil), Hang()})
	case ModeHangsLater:
		return withTriton(s, nil, []Step{Receive(), Observe(s.Observer, Stream, nil), Do(firstChunk), Hang()})
	case ModeBreaks:
		return withTriton(s, nil, []Step{Receive(), Observe(s.Observer, Stream, nil), Do(firstChunk), Reset()})
	}
	return withTriton(s,
		[]Step{Observe(s.Observer, Infer, nil), Reply(tritonInfer)},
		[]Step{Observe(s.Observer, Stream, nil), Each(tritonStream)},
	)
}

// withTriton adds Triton's control RPCs to two ways to infer.
func withTriton(s Setup, infer, stream []Step) Script {
	named := func(messages [][]byte) string {
		var m inference.RepositoryModelLoadRequest // Unload has the name at the same place
		_ = proto.Unmarshal(messages[0], &m)
		return m.GetModelName()
	}
	return Script{
		"ServerLive":      {Receive(), Send(&inference.ServerLiveResponse{Live: true})},
		"ServerReady":     {Receive(), Send(&inference.ServerReadyResponse{Ready: true})},
		"ModelReady":      {Reply(tritonReady)},
		"ServerMetadata":  {Receive(), Send(TritonMetadata())},
		"ModelMetadata":   {Reply(tritonMetadata)},
		"ModelConfig":     {Reply(tritonConfig)},
		"ModelStatistics": {Reply(tritonStatistics)},
		"RepositoryIndex": {Receive(), Send(&inference.RepositoryIndexResponse{Models: []*inference.RepositoryIndexResponse_ModelIndex{
			{Name: chunksModel, Version: "1", State: "READY"}, {Name: echoModel, Version: "1", State: "READY"}, {Name: spareModel},
		}})},
		"RepositoryModelLoad":   {Receive(), Observe(s.Observer, Load, named), Reply(tritonLoad)},
		"RepositoryModelUnload": {Receive(), Observe(s.Observer, Unload, named), Send(&inference.RepositoryModelUnloadResponse{})},
		"ModelInfer":            infer,
		"ModelStreamInfer":      stream,
	}
}

// TritonMetadata is what a Triton answers to ServerMetadata.
func TritonMetadata() *inference.ServerMetadataResponse {
	return &inference.ServerMetadataResponse{Name: "triton", Version: "2.51.0", Extensions: []string{
		"classification", "sequence", "model_repository", "model_repository(unload_dependents)", "schedule_policy", "model_configuration",
		"system_shared_memory", "cuda_shared_memory", "binary_tensor_data", "parameters", "statistics", "trace", "logging",
	}}
}

func unknown(model string) error {
	if slices.Contains([]string{echoModel, chunksModel, spareModel}, model) {
		return nil
	}
	return status.Errorf(codes.NotFound, "Request for unknown model: '%s' is not found", model)
}

func tritonReady(r *inference.ModelReadyRequest) (proto.Message, error) {
	return &inference.ModelReadyResponse{Ready: unknown(r.GetName()) == nil}, nil
}

func tritonMetadata(r *inference.ModelMetadataRequest) (proto.Message, error) {
	type tensors = []*inference.ModelMetadataResponse_TensorMetadata
	m := &inference.ModelMetadataResponse{Name: r.GetName(), Versions: []string{"1"}, Platform: "python"}
	if r.GetName() == echoModel {
		m.Inputs = tensors{{Name: "IN", Datatype: "INT32", Shape: []int64{-1}}}
		m.Outputs = tensors{{Name: "OUT", Datatype: "INT32", Shape: []int64{-1}}}
	}
	return m, unknown(r.GetName())
}

func tritonConfig(r *inference.ModelConfigRequest) (proto.Message, error) {
	return &inference.ModelConfigResponse{Config: &inference.ModelConfig{
		Name: r.GetName(), Backend: "python",
		Input:                  []*inference.ModelInput{{Name: "IN", DataType: inference.DataType_TYPE_INT32, Dims: []int64{-1}}},
		Output:                 []*inference.ModelOutput{{Name: "OUT", DataType: inference.DataType_TYPE_INT32, Dims: []int64{-1}}},
		ModelTransactionPolicy: &inference.ModelTransactionPolicy{Decoupled: r.GetName() == chunksModel},
	}}, unknown(r.GetName())
}

func tritonStatistics(r *inference.ModelStatisticsRequest) (proto.Message, error) {
	return &inference.ModelStatisticsResponse{ModelStats: []*inference.ModelStatistics{{Name: r.GetName(), Version: "1"}}}, nil
}

// tritonLoad does not look at the name where the observer has read it already.
func tritonLoad(r *inference.RepositoryModelLoadRequest) (proto.Message, error) {
	if unknown(r.GetModelName()) != nil {
		return nil, status.Errorf(codes.Internal, "failed to load '%s', failed to poll from model repository", r.GetModelName())
	}
	return &inference.RepositoryModelLoadResponse{}, nil
}

func tritonInfer(r *inference.ModelInferRequest) (proto.Message, error) {
	answer := EchoAnswer()
	answer.Id = r.GetId()
	return answer, unknown(r.GetModelName())
}

// tritonStream answers one request of a stream.
func tritonStream(request []byte) [][]byte {
	var r inference.ModelInferRequest
	if err := proto.Unmarshal(request, &r); err != nil {
		return nil
	}
	if err := unknown(r.GetModelName()); err != nil {
		return encode(&inference.ModelStreamInferResponse{
			ErrorMessage: status.Convert(err).Message(), InferResponse: &inference.ModelInferResponse{Id: r.GetId()},
		})
	}
	var all []proto.Message
	chunks := Chunks()
	for i, chunk := range chunks {
		all = append(all, part(chunk, r.GetId(), i == len(chunks)-1))
	}
	return encode(all...)
}

// part wraps an answer as Triton does.
func part(answer *inference.ModelInferResponse, id string, final bool) *inference.ModelStreamInferResponse {
	answer.Id = id
	answer.Parameters = map[string]*inference.InferParameter{
		finalKey: {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: final}},
	}
	return &inference.ModelStreamInferResponse{InferResponse: answer}
}

// firstChunk answers the first part of the request that came.
func firstChunk(c *Call) {
	var r inference.ModelInferRequest
	_ = proto.Unmarshal(c.last(), &r)
	_ = c.send(encode(part(Chunks()[0], r.GetId(), false))...)
}

func encode(messages ...proto.Message) (all [][]byte) {
	for _, m := range messages {
		b, _ := proto.Marshal(m)
		all = append(all, b)
	}
	return all
}
