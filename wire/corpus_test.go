package wire_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// fullRequest is a request in which every field is set.
func fullRequest() *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName: "simple", ModelVersion: "1", Id: "id-ü",
		Parameters: map[string]*inference.InferParameter{
			"sequence_id": {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: -7}},
			"flag":        {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: true}},
			"text":        {ParameterChoice: &inference.InferParameter_StringParam{StringParam: "wörter"}},
			"pi":          {ParameterChoice: &inference.InferParameter_DoubleParam{DoubleParam: 3.14}},
			"priority":    {ParameterChoice: &inference.InferParameter_Uint64Param{Uint64Param: 1 << 63}},
			"nothing":     {},
		},
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, -1, 1 << 40}, Parameters: map[string]*inference.InferParameter{
				"shared_memory_region": {ParameterChoice: &inference.InferParameter_StringParam{StringParam: "region"}},
			}},
			{Name: "INPUT1", Datatype: "FP32", Shape: []int64{16}, Contents: fullContents()},
		},
		Outputs: []*inference.ModelInferRequest_InferRequestedOutputTensor{
			{Name: "OUTPUT0", Parameters: map[string]*inference.InferParameter{
				"classification": {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: 3}},
			}},
		},
		RawInputContents: [][]byte{{1, 2, 3}, {}, make([]byte, 300)},
	}
}

func fullContents() *inference.InferTensorContents {
	return &inference.InferTensorContents{
		BoolContents: []bool{true, false}, IntContents: []int32{-1, 1, 300}, Int64Contents: []int64{-1, 1 << 62},
		UintContents: []uint32{1 << 31}, Uint64Contents: []uint64{1 << 63, 0}, Fp32Contents: []float32{1.5, -2},
		Fp64Contents: []float64{2.5}, BytesContents: [][]byte{{0xff}, {}},
	}
}

func fullResponse() *inference.ModelInferResponse {
	return &inference.ModelInferResponse{
		ModelName: "simple", ModelVersion: "1", Id: "id",
		Parameters: map[string]*inference.InferParameter{
			"triton_final_response": {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: true}},
		},
		Outputs:           []*inference.ModelInferResponse_InferOutputTensor{{Name: "OUTPUT0", Datatype: "INT32", Shape: []int64{1, 16}, Contents: fullContents()}},
		RawOutputContents: [][]byte{make([]byte, 64), {9}},
	}
}

func encode(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// addSeeds gives a fuzz target what every message of the contract looks like,
// and what earlier fuzzing found to take ways of its own through the code:
// the file of that name in testdata/interesting, an input a line, as Go quotes it.
func addSeeds(f *testing.F, found string) {
	f.Helper()
	for _, m := range []proto.Message{
		fullRequest(), fullResponse(),
		&inference.ModelStreamInferResponse{InferResponse: fullResponse()},
		&inference.ModelStreamInferResponse{ErrorMessage: "no", InferResponse: &inference.ModelInferResponse{Id: "x"}},
	} {
		b := encode(f, m)
		f.Add(b, []byte{})
		f.Add(b, []byte{1})
		f.Add(b, []byte{3, 0, 17})
		f.Add(append(b, b...), []byte{100})
	}
	addInteresting(f, found)
}

func addInteresting(f *testing.F, found string) {
	f.Helper()
	lines, err := os.ReadFile(filepath.Join("testdata", "interesting", found+".txt"))
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		message, err := strconv.QuotedPrefix(line)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(unquote(f, message), unquote(f, strings.TrimSpace(line[len(message):])))
	}
}

func unquote(f *testing.F, s string) []byte {
	f.Helper()
	text, err := strconv.Unquote(s)
	if err != nil {
		f.Fatalf("%s: %v", s, err)
	}
	return []byte(text)
}
