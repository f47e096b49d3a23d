package models_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/gen/inference"
)

func TestAnswers(t *testing.T) {
	many := make([]string, 16)
	for i := range many {
		many[i] = "-3"
	}
	sums, zeros := make([]string, 16), make([]string, 16)
	for i := range sums {
		sums[i], zeros[i] = "-6", "0"
	}
	odd := bytesData("", "a\x00b", "é", "\xff\xfe")
	type out struct {
		name, datatype string
		shape          []int64
		data           []byte
	}
	for _, tc := range []struct {
		name    string
		request *inference.ModelInferRequest
		want    []out
	}{
		{
			"simple, a batch of two", request("simple", "1", tensor{"INPUT0", "INT32", []int64{2, 16}, rows(2, 5)}, tensor{"INPUT1", "INT32", []int64{2, 16}, rows(2, 5)}),
			[]out{
				{"OUTPUT0", "INT32", []int64{2, 16}, add(rows(2, 5), rows(2, 5))},
				{"OUTPUT1", "INT32", []int64{2, 16}, make([]byte, 128)},
			},
		},
		{
			"prod-simple, inputs the other way round", request("prod-simple", "1",
				tensor{"INPUT1", "INT32", []int64{1, 16}, rows(1, 0)}, tensor{"INPUT0", "INT32", []int64{1, 16}, rows(1, 0)}),
			[]out{
				{"OUTPUT0", "INT32", []int64{1, 16}, add(rows(1, 0), rows(1, 0))},
				{"OUTPUT1", "INT32", []int64{1, 16}, make([]byte, 64)},
			},
		},
		{
			"simple_string", request("simple_string", "1",
				tensor{"INPUT0", "BYTES", []int64{1, 16}, bytesData(many...)}, tensor{"INPUT1", "BYTES", []int64{1, 16}, bytesData(many...)}),
			[]out{{"OUTPUT0", "BYTES", []int64{1, 16}, bytesData(sums...)}, {"OUTPUT1", "BYTES", []int64{1, 16}, bytesData(zeros...)}},
		},
		{
			"simple_identity, any bytes", request("simple_identity", "", tensor{"INPUT0", "BYTES", []int64{2, 2}, odd}),
			[]out{{"OUTPUT0", "BYTES", []int64{2, 2}, odd}},
		},
		{
			"identity_fp32", request("identity_fp32", "", tensor{"INPUT0", "FP32", []int64{1, 3}, float32Data(1.5, -0, 3e38)}),
			[]out{{"OUTPUT0", "FP32", []int64{1, 3}, float32Data(1.5, -0, 3e38)}},
		},
		{
			"identity_fp32, nothing", request("identity_fp32", "", tensor{"INPUT0", "FP32", []int64{1, 0}, nil}),
			[]out{{"OUTPUT0", "FP32", []int64{1, 0}, nil}},
		},
		{"more raw than inputs", func() *inference.ModelInferRequest {
			r := request("identity_fp32", "", tensor{"INPUT0", "FP32", []int64{1, 1}, float32Data(1)})
			r.RawInputContents = append(r.RawInputContents, []byte("left over"))
			return r
		}(), []out{{"OUTPUT0", "FP32", []int64{1, 1}, float32Data(1)}}},
		{"a version with something behind it", func() *inference.ModelInferRequest {
			r := request("identity_fp32", "", tensor{"INPUT0", "FP32", []int64{1, 1}, float32Data(1)})
			r.ModelVersion = " 1x"
			return r
		}(), []out{{"OUTPUT0", "FP32", []int64{1, 1}, float32Data(1)}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := must[*inference.ModelInferResponse](t)(client(t).ModelInfer(t.Context(), tc.request))
			if got.GetModelName() != tc.request.GetModelName() || got.GetModelVersion() != "1" || got.GetId() != tc.request.GetId() {
				t.Errorf("%q version %q id %q", got.GetModelName(), got.GetModelVersion(), got.GetId())
			}
			if len(got.GetParameters()) != 0 {
				t.Errorf("parameters %v, want none over ModelInfer", got.GetParameters())
			}
			if len(got.GetOutputs()) != len(tc.want) || len(got.GetRawOutputContents()) != len(tc.want) {
				t.Fatalf("%d outputs and %d raw, want %d", len(got.GetOutputs()), len(got.GetRawOutputContents()), len(tc.want))
			}
			for i, want := range tc.want {
				o := got.GetOutputs()[i]
				if o.GetName() != want.name || o.GetDatatype() != want.datatype || !slices.Equal(o.GetShape(), want.shape) || o.GetContents() != nil {
					t.Errorf("output %d is %v, want %v", i, o, want)
				}
				if !bytes.Equal(got.GetRawOutputContents()[i], want.data) {
					t.Errorf("%s is %x, want %x", want.name, got.GetRawOutputContents()[i], want.data)
				}
			}
		})
	}
}

// add adds two lists of INT32 whose sums do not overflow a byte, as the rows of
// the tests do not.
func add(a, b []byte) []byte {
	sum := make([]byte, len(a))
	for i := range a {
		sum[i] = a[i] + b[i]
	}
	return sum
}

func TestTypedInputsGetRawOutputs(t *testing.T) {
	ints := func(v ...int32) *inference.InferTensorContents {
		return &inference.InferTensorContents{IntContents: v}
	}
	for _, tc := range []struct {
		name   string
		model  string
		inputs []*inference.ModelInferRequest_InferInputTensor
		want   []byte // of the first output
	}{
		{"INT32", "simple", []*inference.ModelInferRequest_InferInputTensor{
			{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, 16}, Contents: ints(make([]int32, 16)...)},
			{Name: "INPUT1", Datatype: "INT32", Shape: []int64{1, 16}, Contents: ints(make([]int32, 16)...)},
		}, make([]byte, 64)},
		{"FP32", "identity_fp32", []*inference.ModelInferRequest_InferInputTensor{
			{Name: "INPUT0", Datatype: "FP32", Shape: []int64{1, 2}, Contents: &inference.InferTensorContents{Fp32Contents: []float32{1, 2}}},
		}, float32Data(1, 2)},
		{"BYTES", "simple_identity", []*inference.ModelInferRequest_InferInputTensor{
			{Name: "INPUT0", Datatype: "BYTES", Shape: []int64{1, 2}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte("a"), nil}}},
		}, bytesData("a", "")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := must[*inference.ModelInferResponse](t)(client(t).ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: tc.model, Inputs: tc.inputs}))
			if !bytes.Equal(got.GetRawOutputContents()[0], tc.want) || got.GetOutputs()[0].GetContents() != nil {
				t.Errorf("raw %x, contents %v, want raw %x only", got.GetRawOutputContents()[0], got.GetOutputs()[0].GetContents(), tc.want)
			}
		})
	}
}

func TestRequestedOutputs(t *testing.T) {
	r := addRequest("")
	for _, name := range []string{"OUTPUT1", "OUTPUT1"} {
		r.Outputs = append(r.Outputs, &inference.ModelInferRequest_InferRequestedOutputTensor{Name: name})
	}
	got := must[*inference.ModelInferResponse](t)(client(t).ModelInfer(t.Context(), r))
	if len(got.GetOutputs()) != 1 || got.GetOutputs()[0].GetName() != "OUTPUT1" || len(got.GetRawOutputContents()) != 1 {
		t.Errorf("got %v, want OUTPUT1 once", got.GetOutputs())
	}
}

func TestAcceptedParameters(t *testing.T) {
	r := addRequest("")
	r.Parameters = map[string]*inference.InferParameter{
		"sequence_id": stringParam("x"), "sequence_start": boolParam(true), "sequence_end": boolParam(false), "priority": uintParam(3),
		"timeout": intParam(100), "triton_enable_empty_final_response": boolParam(true), "binary_data_output": boolParam(true),
		"a": intParam(1), "b": stringParam(""), "c": doubleParam(0.5),
	}
	must[*inference.ModelInferResponse](t)(client(t).ModelInfer(t.Context(), r))
}

func TestClassification(t *testing.T) {
	floats := request("identity_fp32", "", tensor{"INPUT0", "FP32", []int64{2, 3}, float32Data(0.5, 9.5, -1, 3, 2, 1)})
	for _, tc := range []struct {
		name    string
		request *inference.ModelInferRequest
		output  string
		k       int64
		shape   []int64
		want    []string
	}{
		{"numbers", addRequest(""), "OUTPUT0", 3, []int64{1, 3}, []string{"131:15", "129:14", "127:13"}},
		{"equal numbers keep their order", addRequest(""), "OUTPUT1", 2, []int64{1, 2}, []string{"99:0", "99:1"}},
		{"floats, each row by itself", floats, "OUTPUT0", 2, []int64{2, 2}, []string{"9.500000:1", "0.500000:0", "3.000000:0", "2.000000:1"}},
		{
			"more than there are", floats, "OUTPUT0", 100,
			[]int64{2, 3},
			[]string{"9.500000:1", "0.500000:0", "-1.000000:2", "3.000000:0", "2.000000:1", "1.000000:2"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.request.Outputs = []*inference.ModelInferRequest_InferRequestedOutputTensor{{
				Name: tc.output, Parameters: map[string]*inference.InferParameter{"classification": intParam(tc.k)},
			}}
			got := must[*inference.ModelInferResponse](t)(client(t).ModelInfer(t.Context(), tc.request))
			o := got.GetOutputs()[0]
			if o.GetDatatype() != "BYTES" || !slices.Equal(o.GetShape(), tc.shape) || !slices.Equal(texts(got.GetRawOutputContents()[0]), tc.want) {
				t.Errorf("%s %v %q, want BYTES %v %q", o.GetDatatype(), o.GetShape(), texts(got.GetRawOutputContents()[0]), tc.shape, tc.want)
			}
		})
	}
}

// failure is an error of the model's own: found when it ran.
type failure struct {
	name    string
	request *inference.ModelInferRequest
	code    codes.Code
	text    string
}

func failures() []failure {
	words := make([]string, 16)
	classified := request("simple_identity", "f", tensor{"INPUT0", "BYTES", []int64{1, 1}, bytesData("x")})
	classified.Outputs = []*inference.ModelInferRequest_InferRequestedOutputTensor{{
		Name: "OUTPUT0", Parameters: map[string]*inference.InferParameter{"classification": intParam(1)},
	}}
	const incomplete = "incomplete string data for inference input 'INPUT0', expecting string of length %d but only %d bytes available"
	return []failure{
		{
			"cut element", request("simple_identity", "f", tensor{"INPUT0", "BYTES", []int64{1, 1}, bytesData("abcdef")[:7]}), codes.InvalidArgument,
			fmt.Sprintf(incomplete, 6, 3),
		},
		{
			"length over 2 GiB", request("simple_identity", "f", tensor{"INPUT0", "BYTES", []int64{1, 1}, []byte{0xff, 0xff, 0xff, 0xff, 'x'}}), codes.InvalidArgument,
			fmt.Sprintf(incomplete, int64(1<<32-1), 1),
		},
		{
			"not a number", request("simple_string", "f",
				tensor{"INPUT0", "BYTES", []int64{1, 16}, bytesData(words...)}, tensor{"INPUT1", "BYTES", []int64{1, 16}, bytesData(words...)}),
			codes.Internal, "a string could not be converted to int32",
		},
		{"strings classified", classified, codes.InvalidArgument, "class result not available for output due to unsupported type 'BYTES'"},
	}
}

func TestFailures(t *testing.T) {
	for _, tc := range failures() {
		t.Run(tc.name, func(t *testing.T) {
			_, err := client(t).ModelInfer(t.Context(), tc.request)
			wantStatus(t, err, tc.code, tc.text)
		})
	}
}

func TestDecoupledOverModelInfer(t *testing.T) {
	for _, r := range []*inference.ModelInferRequest{repeatRequest("", 0, 1), {ModelName: "tokens"}} {
		_, err := client(t).ModelInfer(t.Context(), r)
		wantStatus(t, err, codes.Unimplemented, "ModelInfer RPC doesn't support models with decoupled transaction policy")
	}
}
