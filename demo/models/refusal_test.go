package models_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// refusal is a request that does not get to its model, and what is said about
// it. The texts are Triton's.
type refusal struct {
	name    string
	request *inference.ModelInferRequest
	code    codes.Code
	text    string
}

// TestRefusals sends each over both RPCs: as a status, and inside a stream
// with the same text, the id and nothing else.
func TestRefusals(t *testing.T) {
	c := client(t)
	for _, group := range [][]refusal{nameRefusals(), parameterRefusals(), inputRefusals(), shapeRefusals(), bytesRefusals(), outputRefusals(), sequenceRefusals()} {
		for _, tc := range group {
			t.Run(tc.name, func(t *testing.T) {
				_, err := c.ModelInfer(t.Context(), tc.request)
				wantStatus(t, err, tc.code, tc.text)
				answers, err := stream(t.Context(), t, c, tc.request, addRequest("after"))
				if err != nil || len(answers) != 2 {
					t.Fatalf("stream: %v, %v; want the refusal and the answer after it", answers, err)
				}
				if got := answers[0].GetErrorMessage(); got != tc.text {
					t.Errorf("in the stream: %q", got)
				}
				bare := answers[0].GetInferResponse()
				if bare.GetId() != tc.request.GetId() || bare.GetModelName() != "" || len(bare.GetParameters()) != 0 || len(bare.GetOutputs()) != 0 {
					t.Errorf("in the stream: %v, want nothing but the id", bare)
				}
				if answers[1].GetErrorMessage() != "" || answers[1].GetInferResponse().GetId() != "after" {
					t.Errorf("the stream did not go on: %v", answers[1])
				}
			})
		}
	}
}

// change returns a good request for "simple", changed.
func change(f func(*inference.ModelInferRequest)) *inference.ModelInferRequest {
	r := addRequest("abc")
	f(r)
	return r
}

func nameRefusals() []refusal {
	named := func(name, version string) *inference.ModelInferRequest {
		return change(func(r *inference.ModelInferRequest) { r.ModelName, r.ModelVersion = name, version })
	}
	return []refusal{
		{"unknown model", named("nope", ""), codes.NotFound, "Request for unknown model: 'nope' is not found"},
		{"empty name", named("", ""), codes.NotFound, "Request for unknown model: '' is not found"},
		{"unknown version", named("simple", "99"), codes.NotFound, "Request for unknown model: 'simple' version 99 is not found"},
		{"version zero", named("simple", "0"), codes.NotFound, "Request for unknown model: 'simple' version 0 is not found"},
		{
			"version not a number", named("simple", "abc"), codes.InvalidArgument,
			"failed to get model version from specified version string 'abc' (details: stol), version should be an integral value > 0",
		},
		{
			"version out of range", named("simple", "99999999999999999999"), codes.InvalidArgument,
			"failed to get model version from specified version string '99999999999999999999' (details: stol), version should be an integral value > 0",
		},
		{"negative version", named("simple", "-1"), codes.InvalidArgument, "invalid model version specified '-1' , version should be an integral value > 0"},
		{
			"version before name", named("nope", "-"), codes.InvalidArgument,
			"failed to get model version from specified version string '-' (details: stol), version should be an integral value > 0",
		},
	}
}

func parameterRefusals() []refusal {
	with := func(key string, p *inference.InferParameter) *inference.ModelInferRequest {
		return change(func(r *inference.ModelInferRequest) { r.Parameters[key] = p })
	}
	wrong := func(key, expected string) string {
		return "invalid value type for '" + key + "' parameter, expected " + expected + "."
	}
	const custom = "int64_param, bool_param, or string_param"
	return []refusal{
		{"sequence_id double", with("sequence_id", doubleParam(1)), codes.InvalidArgument, wrong("sequence_id", "int64_param or string_param")},
		{"sequence_start int", with("sequence_start", intParam(1)), codes.InvalidArgument, wrong("sequence_start", "bool_param")},
		{"sequence_end string", with("sequence_end", stringParam("true")), codes.InvalidArgument, wrong("sequence_end", "bool_param")},
		{"priority string", with("priority", stringParam("1")), codes.InvalidArgument, wrong("priority", "int64_param or uint64_param")},
		{"priority negative", with("priority", intParam(-1)), codes.InvalidArgument, "invalid value for 'priority', expected value >= 0."},
		{"timeout uint", with("timeout", uintParam(1)), codes.InvalidArgument, wrong("timeout", "int64_param")},
		{"empty final int", with("triton_enable_empty_final_response", intParam(1)), codes.InvalidArgument, wrong("triton_enable_empty_final_response", "bool_param")},
		{
			"reserved", with("triton_x", boolParam(true)), codes.InvalidArgument,
			"parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are allowed: triton_enable_empty_final_response",
		},
		{"custom uint", with("u", uintParam(1)), codes.InvalidArgument, wrong("u", custom)},
		{"custom unset", with("u", &inference.InferParameter{}), codes.InvalidArgument, wrong("u", custom)},
	}
}

func inputRefusals() []refusal {
	fp32 := &inference.InferTensorContents{Fp32Contents: []float32{1}}
	ints := &inference.InferTensorContents{IntContents: make([]int32, 16)}
	typed := func(c *inference.InferTensorContents) *inference.ModelInferRequest {
		return change(func(r *inference.ModelInferRequest) {
			r.RawInputContents = nil
			r.Inputs[0].Contents, r.Inputs[1].Contents = c, ints
		})
	}
	return []refusal{
		{
			"wrong input name", change(func(r *inference.ModelInferRequest) { r.Inputs[0].Name = "INPUTX" }), codes.InvalidArgument,
			"unexpected inference input 'INPUTX' for model 'simple'",
		},
		{
			"missing input", change(func(r *inference.ModelInferRequest) { r.Inputs = r.Inputs[:1] }), codes.InvalidArgument,
			"[request id: abc] expected 2 inputs but got 1 inputs for model 'simple'. Got input(s) ['INPUT0'], but missing required input(s) ['INPUT1']. Please provide all required input(s).",
		},
		{
			"no input and no id", &inference.ModelInferRequest{ModelName: "simple"}, codes.InvalidArgument,
			"[request id: <id_unknown>] expected 2 inputs but got 0 inputs for model 'simple'. Got input(s) [], but missing required input(s) ['INPUT0','INPUT1']. Please provide all required input(s).",
		},
		{
			"one input too many", change(func(r *inference.ModelInferRequest) {
				r.Inputs = append(r.Inputs, &inference.ModelInferRequest_InferInputTensor{Name: "INPUT2", Datatype: "INT32", Shape: []int64{1}})
				r.RawInputContents = append(r.RawInputContents, int32Data(1))
			}), codes.InvalidArgument,
			"[request id: abc] expected 2 inputs but got 3 inputs for model 'simple'. Got input(s) ['INPUT2','INPUT1','INPUT0'], but missing required input(s) ]. Please provide all required input(s).",
		},
		{
			"input twice", change(func(r *inference.ModelInferRequest) { r.Inputs[1].Name = "INPUT0" }), codes.InvalidArgument,
			"[request id: abc] input 'INPUT0' already exists in request",
		},
		{
			"too few raw", change(func(r *inference.ModelInferRequest) { r.RawInputContents = r.RawInputContents[:1] }), codes.InvalidArgument,
			"unable to find data for input tensor 'INPUT1' for model 'simple' in request.",
		},
		{
			"raw and contents", change(func(r *inference.ModelInferRequest) { r.Inputs[0].Contents = ints }), codes.InvalidArgument,
			"contents field must not be specified when using raw_input_contents for 'INPUT0' for model 'simple'",
		},
		{
			"raw and empty contents", change(func(r *inference.ModelInferRequest) { r.Inputs[0].Contents = &inference.InferTensorContents{} }), codes.InvalidArgument,
			"contents field must not be specified when using raw_input_contents for 'INPUT0' for model 'simple'",
		},
		{
			"typed field of another type", typed(fp32), codes.InvalidArgument,
			"unexpected explicit tensor data for input tensor 'INPUT0' for model 'simple' of type 'FP32', expected datatype 'INT32'",
		},
		{
			"two typed fields", typed(&inference.InferTensorContents{IntContents: []int32{1}, Fp32Contents: []float32{1}}), codes.InvalidArgument,
			"unexpected explicit tensor data for input tensor 'INPUT0' for model 'simple', binary data was already supplied.",
		},
		{
			"typed but empty", typed(&inference.InferTensorContents{}), codes.InvalidArgument,
			"[request id: abc] input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 64, got 0",
		},
		{
			"raw size wrong", change(func(r *inference.ModelInferRequest) { r.RawInputContents[0] = r.RawInputContents[0][:60] }), codes.InvalidArgument,
			"[request id: abc] input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 64, got 60",
		},
		{
			"wrong datatype", change(func(r *inference.ModelInferRequest) { r.Inputs[0].Datatype = "FP32" }), codes.InvalidArgument,
			"[request id: abc] inference input 'INPUT0' data-type is 'FP32', but model 'simple' expects 'INT32'",
		},
		{
			"unknown datatype", change(func(r *inference.ModelInferRequest) { r.Inputs[0].Datatype = "int32" }), codes.InvalidArgument,
			"[request id: abc] inference input 'INPUT0' data-type is '<invalid>', but model 'simple' expects 'INT32'",
		},
	}
}

func shapeRefusals() []refusal {
	shaped := func(first, second []int64) *inference.ModelInferRequest {
		return change(func(r *inference.ModelInferRequest) { r.Inputs[0].Shape, r.Inputs[1].Shape = first, second })
	}
	const note = "NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each input shape. " +
		"If you want to specify the full shape including the batch dim in your input dims config, try setting max_batch_size to zero. " +
		"See the model configuration docs for more info on max_batch_size."
	full := []int64{1, 16}
	return []refusal{
		{
			"wrong shape", shaped([]int64{1, 8}, full), codes.InvalidArgument,
			"[request id: abc] unexpected shape for input 'INPUT0' for model 'simple'. Expected [-1,16], got [1,8]. " + note,
		},
		{
			"wrong rank", shaped([]int64{1, 16, 1}, full), codes.InvalidArgument,
			"[request id: abc] unexpected shape for input 'INPUT0' for model 'simple'. Expected [-1,16], got [1,16,1]. " + note,
		},
		{"no shape", shaped(nil, full), codes.InvalidArgument, "[request id: abc] input 'INPUT0' has no shape but model requires batch dimension for 'simple'"},
		{
			"wildcard", shaped([]int64{1, -1}, full), codes.InvalidArgument,
			"[request id: abc] All input dimensions should be specified for input 'INPUT0' for model 'simple', got [1,-1]",
		},
		{"batches differ", shaped([]int64{2, 16}, full), codes.InvalidArgument, "[request id: abc] input 'INPUT0' batch size does not match other inputs for 'simple'"},
		{"batch too large", shaped([]int64{9, 16}, []int64{9, 16}), codes.InvalidArgument, "[request id: abc] inference request batch-size must be <= 8 for 'simple'"},
	}
}

func bytesRefusals() []refusal {
	of := func(shape []int64, data []byte) *inference.ModelInferRequest {
		return request("simple_identity", "", tensor{"INPUT0", "BYTES", shape, data})
	}
	const id = "[request id: <id_unknown>] "
	const where = " for inference input 'INPUT0' for model 'simple_identity'"
	return []refusal{
		{
			"too few elements", of([]int64{1, 3}, bytesData("a", "b")), codes.InvalidArgument,
			id + "expected 3 string elements for inference input 'INPUT0' for model 'simple_identity', got 2",
		},
		{
			"too many elements", of([]int64{1, 1}, bytesData("a", "b")), codes.InvalidArgument,
			id + "unexpected number of string elements 2" + where + ", expecting 1",
		},
		{
			"cut length", of([]int64{1, 2}, append(bytesData("a"), 0, 0)), codes.InvalidArgument,
			id + "incomplete string length indicator" + where + ", expecting 4 bytes but only 2 bytes available. Please make sure the string length indicator is in one buffer.",
		},
		{"a shape beyond counting", of([]int64{2, 1 << 62}, nil), codes.InvalidArgument, id + "invalid shape [2,4611686018427387904] for input 'INPUT0'"},
	}
}

func outputRefusals() []refusal {
	with := func(name string, params map[string]*inference.InferParameter) *inference.ModelInferRequest {
		return change(func(r *inference.ModelInferRequest) {
			r.Outputs = []*inference.ModelInferRequest_InferRequestedOutputTensor{{Name: name, Parameters: params}}
		})
	}
	one := func(key string, p *inference.InferParameter) *inference.ModelInferRequest {
		return with("OUTPUT0", map[string]*inference.InferParameter{key: p})
	}
	return []refusal{
		{"unknown output", with("OUTPUTX", nil), codes.InvalidArgument, "unexpected inference output 'OUTPUTX' for model 'simple'"},
		{
			"classification type", one("classification", stringParam("1")), codes.InvalidArgument,
			"invalid value type for 'classification' parameter, expected int64_param",
		},
		{
			"classification of none", one("classification", intParam(0)), codes.InvalidArgument,
			"invalid value for 'classification' parameter, expected >= 0",
		},
		{"classification and region", with("OUTPUT0", map[string]*inference.InferParameter{
			"classification": intParam(1), "shared_memory_region": stringParam("r"), "shared_memory_byte_size": intParam(64),
		}), codes.InvalidArgument, "output can't set both 'shared_memory_region' and 'classification'"},
		{
			"region type", one("shared_memory_region", intParam(1)), codes.InvalidArgument,
			"invalid value type for 'shared_memory_region' parameter for tensor 'OUTPUT0', expected string_param.",
		},
		{
			"region without size", one("shared_memory_region", stringParam("r")), codes.InvalidArgument,
			"'shared_memory_byte_size' must be specified along with 'shared_memory_region' parameter for tensor 'OUTPUT0'",
		},
		{
			"size without region", one("shared_memory_byte_size", intParam(1)), codes.InvalidArgument,
			"'shared_memory_byte_size' can not be specified without 'shared_memory_region' parameter for tensor 'OUTPUT0'",
		},
		{
			"offset without region", one("shared_memory_offset", intParam(1)), codes.InvalidArgument,
			"'shared_memory_offset' can not be specified without 'shared_memory_region' parameter for tensor 'OUTPUT0'",
		},
		{"offset type", with("OUTPUT0", map[string]*inference.InferParameter{
			"shared_memory_region": stringParam("r"), "shared_memory_offset": stringParam("0"), "shared_memory_byte_size": intParam(64),
		}), codes.InvalidArgument, "invalid value type for 'shared_memory_offset' parameter for tensor 'OUTPUT0', expected int64_param."},
		{"unknown region", with("OUTPUT0", map[string]*inference.InferParameter{
			"shared_memory_region": stringParam("r"), "shared_memory_byte_size": intParam(64),
		}), codes.NotFound, "Unable to find shared memory region: 'r'"},
	}
}

func sequenceRefusals() []refusal {
	of := func(batch int64, params map[string]*inference.InferParameter) *inference.ModelInferRequest {
		r := request("simple_sequence", "s", tensor{"INPUT", "INT32", []int64{batch, 1}, make([]byte, 4*batch)})
		r.Parameters = params
		return r
	}
	const to = " to model 'simple_sequence' "
	const noID = "inference request" + to + "must specify a non-zero or non-empty correlation ID"
	return []refusal{
		{"no sequence", of(1, nil), codes.InvalidArgument, noID},
		{"sequence zero", of(1, map[string]*inference.InferParameter{"sequence_id": intParam(0), "sequence_start": boolParam(true)}), codes.InvalidArgument, noID},
		{
			"not begun", of(1, map[string]*inference.InferParameter{"sequence_id": intParam(42)}), codes.InvalidArgument,
			"inference request for sequence 42" + to + "must specify the START flag on the first request of the sequence",
		},
		{
			"not begun, by name", of(1, map[string]*inference.InferParameter{"sequence_id": stringParam("x"), "sequence_start": boolParam(false)}), codes.InvalidArgument,
			"inference request for sequence x" + to + "must specify the START flag on the first request of the sequence",
		},
		{
			"batch of two", of(2, map[string]*inference.InferParameter{"sequence_id": intParam(42), "sequence_start": boolParam(true)}), codes.InvalidArgument,
			"inference request" + to + "must specify batch-size 1 due to requirements of sequence batcher",
		},
	}
}
