package wire_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

func TestContentsOnlyFor(t *testing.T) {
	type contents = inference.InferTensorContents
	strange := &contents{IntContents: []int32{1}}
	strange.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
	for name, tt := range map[string]struct {
		datatype string
		contents *contents
		want     bool
	}{
		"its own field":            {"INT32", &contents{IntContents: []int32{1, 2}}, true},
		"narrow in the same":       {"INT8", &contents{IntContents: []int32{1}}, true},
		"nothing":                  {"BYTES", &contents{}, true},
		"a field nobody knows":     {"INT32", strange, true},
		"halves in bytes":          {"FP16", &contents{BytesContents: [][]byte{{1, 2}}}, true},
		"text in a number":         {"INT32", &contents{BytesContents: [][]byte{[]byte("text")}}, false},
		"text beside a number":     {"INT32", &contents{IntContents: []int32{1}, BytesContents: [][]byte{nil}}, false},
		"a number beside text":     {"BYTES", &contents{BoolContents: []bool{true}, BytesContents: [][]byte{[]byte("text")}}, false},
		"another size":             {"INT64", &contents{IntContents: []int32{1}}, false},
		"a datatype nobody knows":  {"TEXT", &contents{BytesContents: [][]byte{[]byte("text")}}, false},
		"floats in another field":  {"FP32", &contents{Fp64Contents: []float64{1}}, false},
		"halves in another field":  {"BF16", &contents{Fp32Contents: []float32{1}}, false},
		"nothing of what is known": {"TEXT", &contents{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := wire.FromProto(&inference.ModelInferRequest{Inputs: []*inference.ModelInferRequest_InferInputTensor{
				{Name: "i", Datatype: tt.datatype, Contents: tt.contents},
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Free()
			view, err := m.InferRequest()
			if err != nil {
				t.Fatal(err)
			}
			for in := range view.Inputs() {
				if got := in.Contents().OnlyFor(tt.datatype); got != tt.want {
					t.Errorf("got %t", got)
				}
			}
		})
	}
}
