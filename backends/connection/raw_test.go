package connection_test

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

type contents = inference.InferTensorContents

// answering is an answer with one output.
func answering(datatype string, shape []int64, c *contents) *inference.ModelInferResponse {
	return &inference.ModelInferResponse{
		ModelName: "m", Id: "7", Parameters: map[string]*inference.InferParameter{"p": {}},
		Outputs: []*inference.ModelInferResponse_InferOutputTensor{{Name: "o", Datatype: datatype, Shape: shape, Contents: c}},
	}
}

func TestRaw(t *testing.T) {
	for name, tt := range map[string]struct {
		datatype string
		shape    []int64
		contents *contents
		want     string
	}{
		"BOOL":        {"BOOL", []int64{2}, &contents{BoolContents: []bool{true, false}}, "\x01\x00"},
		"INT8":        {"INT8", []int64{2}, &contents{IntContents: []int32{-1, 5}}, "\xff\x05"},
		"INT16":       {"INT16", []int64{1}, &contents{IntContents: []int32{-2}}, "\xfe\xff"},
		"INT32":       {"INT32", []int64{1, 1}, &contents{IntContents: []int32{-2}}, "\xfe\xff\xff\xff"},
		"INT64":       {"INT64", []int64{1}, &contents{Int64Contents: []int64{1 << 40}}, "\x00\x00\x00\x00\x00\x01\x00\x00"},
		"UINT8":       {"UINT8", []int64{1}, &contents{UintContents: []uint32{255}}, "\xff"},
		"UINT16":      {"UINT16", []int64{1}, &contents{UintContents: []uint32{0x102}}, "\x02\x01"},
		"UINT32":      {"UINT32", []int64{1}, &contents{UintContents: []uint32{math.MaxUint32}}, "\xff\xff\xff\xff"},
		"UINT64":      {"UINT64", []int64{1}, &contents{Uint64Contents: []uint64{1 << 63}}, "\x00\x00\x00\x00\x00\x00\x00\x80"},
		"FP32":        {"FP32", []int64{1}, &contents{Fp32Contents: []float32{1}}, "\x00\x00\x80\x3f"},
		"FP64":        {"FP64", []int64{1}, &contents{Fp64Contents: []float64{1}}, "\x00\x00\x00\x00\x00\x00\xf0\x3f"},
		"FP16":        {"FP16", []int64{2}, &contents{BytesContents: [][]byte{[]byte("ab"), []byte("cd")}}, "abcd"},
		"BYTES":       {"BYTES", []int64{2}, &contents{BytesContents: [][]byte{[]byte("hi"), nil}}, "\x02\x00\x00\x00hi\x00\x00\x00\x00"},
		"no elements": {"INT32", []int64{0}, &contents{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := wire.FromProto(answering(tt.datatype, tt.shape, tt.contents))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Free()
			if err := connection.Raw(m); err != nil {
				t.Fatal(err)
			}
			var got inference.ModelInferResponse
			if err := m.Unmarshal(&got); err != nil {
				t.Fatal(err)
			}
			want := answering(tt.datatype, tt.shape, nil)
			want.RawOutputContents = [][]byte{[]byte(tt.want)}
			if !proto.Equal(&got, want) {
				t.Errorf("got %v, want %v", &got, want)
			}
		})
	}
}

// TestRawStays: what is raw goes through byte for byte, empty contents and
// fields that nobody knows included.
func TestRawStays(t *testing.T) {
	raw := answering("INT32", []int64{1}, &contents{})
	raw.RawOutputContents = [][]byte{{1, 0, 0, 0}}
	raw.ProtoReflect().SetUnknown([]byte{0x7a, 1, 'x'})
	for name, answer := range map[string]*inference.ModelInferResponse{"raw": raw, "no outputs": {ModelName: "m"}, "nothing": {}} {
		before, err := proto.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		m := wire.FromBytes(before)
		if err := connection.Raw(m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := m.Buffers().Materialize(); string(got) != string(before) {
			t.Errorf("%s: got %q, want %q", name, got, before)
		}
		m.Free()
	}
}

// TestRawRefuses answers that cannot be put right: none goes on half read.
func TestRawRefuses(t *testing.T) {
	for name, answer := range map[string]*inference.ModelInferResponse{
		"too few":          answering("INT32", []int64{2}, &contents{IntContents: []int32{1}}),
		"too many":         answering("BYTES", []int64{1}, &contents{BytesContents: [][]byte{nil, nil}}),
		"another field":    answering("BYTES", []int64{1}, &contents{IntContents: []int32{1}}),
		"no such datatype": answering("TEXT", []int64{1}, &contents{BytesContents: [][]byte{nil}}),
	} {
		m, err := wire.FromProto(answer)
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := access.AsError(connection.Raw(m)); !ok || e.Kind != access.Unavailable {
			t.Errorf("%s: got %v", name, e)
		}
		m.Free()
	}
	broken := wire.FromBytes([]byte{0x0a, 0xff, 'x'})
	defer broken.Free()
	if e, ok := access.AsError(connection.Raw(broken)); !ok || e.Kind != access.Unavailable {
		t.Errorf("garbage: got %v", e)
	}
}

func TestCheck(t *testing.T) {
	type (
		in  = inference.ModelInferRequest_InferInputTensor
		out = inference.ModelInferRequest_InferRequestedOutputTensor
	)
	with := func(key string) map[string]*inference.InferParameter {
		return map[string]*inference.InferParameter{key: {ParameterChoice: &inference.InferParameter_StringParam{StringParam: "r"}}}
	}
	for name, tt := range map[string]struct {
		request *inference.ModelInferRequest
		want    string // beginning of the error, "" for none
	}{
		"raw":           {&inference.ModelInferRequest{Inputs: []*in{{Name: "a"}}, RawInputContents: [][]byte{nil}}, ""},
		"typed":         {&inference.ModelInferRequest{Inputs: []*in{{Name: "a", Contents: &contents{}}}}, ""},
		"no inputs":     {&inference.ModelInferRequest{}, ""},
		"named outputs": {&inference.ModelInferRequest{Outputs: []*out{{Name: "o"}}}, ""},
		"both": {
			&inference.ModelInferRequest{ModelName: "m", Inputs: []*in{{Name: "a"}, {Name: "b", Contents: &contents{}}}, RawInputContents: [][]byte{nil}},
			"contents field must not be specified when using raw_input_contents for ",
		},
		"text as a number": {
			&inference.ModelInferRequest{Inputs: []*in{{Name: "a", Datatype: "INT32", Contents: &contents{BytesContents: [][]byte{[]byte("text")}}}}},
			"unexpected explicit tensor data for input tensor ",
		},
		"shared input":   {&inference.ModelInferRequest{Inputs: []*in{{Parameters: with("shared_memory_region")}}}, "this model's server has no shared memory"},
		"shared output":  {&inference.ModelInferRequest{Outputs: []*out{{Parameters: with("shared_memory_region")}}}, "this model's server has no shared memory"},
		"classification": {&inference.ModelInferRequest{Outputs: []*out{{Name: "o"}, {Parameters: with("classification")}}}, "this model's server has no classification"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := wire.FromProto(tt.request)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Free()
			view, err := m.InferRequest()
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if e := connection.Check(view); e != nil {
				got = e.Message
			}
			if !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestForms: requests and answers come decoded or not.
func TestForms(t *testing.T) {
	asked := &inference.ModelReadyRequest{Name: "m"}
	m, err := wire.FromProto(asked)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	for _, form := range []any{asked, m, wire.HandOver{Message: m}} {
		var got inference.ModelReadyRequest
		if err := connection.Decode(form, &got); err != nil || got.GetName() != "m" {
			t.Errorf("%T: %v, %v", form, &got, err)
		}
	}
	if connection.Decode("text", asked) == nil || connection.Give("text", asked) == nil {
		t.Error("a text is no message")
	}
	if _, _, err := connection.Requested("text"); err == nil {
		t.Error("a text is no request")
	}
	resp := new(wire.Message)
	defer resp.Free()
	typed := &inference.ModelReadyResponse{}
	for _, form := range []any{resp, typed} {
		if err := connection.Give(form, &inference.ModelReadyResponse{Ready: true}); err != nil {
			t.Error(err)
		}
	}
	var got inference.ModelReadyResponse
	if err := resp.Unmarshal(&got); err != nil || !got.GetReady() || !typed.GetReady() {
		t.Errorf("got %v and %v, %v", &got, typed, err)
	}
}

func TestMissing(t *testing.T) {
	missing := connection.Missing(inference.GRPCInferenceService_ModelInfer_FullMethodName)
	if missing[inference.GRPCInferenceService_ModelInfer_FullMethodName] || !missing[inference.GRPCInferenceService_ModelStreamInfer_FullMethodName] || len(missing) != 19 {
		t.Errorf("got %d: %v", len(missing), missing)
	}
}
