package masking_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

// tensorOf is raw data of a numeric datatype.
func tensorOf(typ wire.Datatype, values ...float64) (raw []byte) {
	for _, v := range values {
		n := len(raw)
		raw = append(raw, make([]byte, typ.Size())...)
		switch {
		case typ.IsFloat():
			typ.PutFloat(raw[n:], v)
		case typ == wire.Uint64:
			typ.PutInteger(raw[n:], int64(uint64(v)))
		default:
			typ.PutInteger(raw[n:], int64(v))
		}
	}
	return raw
}

func valuesOf(typ wire.Datatype, raw []byte) (values []float64) {
	for ; len(raw) > 0; raw = raw[typ.Size():] {
		switch {
		case typ.IsFloat():
			values = append(values, typ.Float(raw))
		case typ == wire.Uint64:
			values = append(values, float64(uint64(typ.Integer(raw))))
		default:
			values = append(values, float64(typ.Integer(raw)))
		}
	}
	return values
}

// numbersRule is a rule about the tensor "x".
func numbersRule(a masking.Action) masking.Rule {
	return masking.Rule{Name: "numbers", Models: []string{"*"}, Tensors: []string{"x"}, Action: a}
}

func numeric(typ wire.Datatype, raw []byte, shape ...int64) *pb.ModelInferResponse {
	return &pb.ModelInferResponse{
		Outputs:           []*pb.ModelInferResponse_InferOutputTensor{{Name: "x", Datatype: typ.String(), Shape: shape}},
		RawOutputContents: [][]byte{raw},
	}
}

func round(n int) masking.Action            { return masking.Action{Round: &n} }
func topK(k int) masking.Action             { return masking.Action{TopK: &k} }
func clip(low, high float64) masking.Action { return masking.Action{Clip: []float64{low, high}} }
func noise(sigma float64) masking.Action    { return masking.Action{Noise: &sigma} }

func TestNumbers(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		name   string
		action masking.Action
		typ    wire.Datatype
		shape  []int64
		in     []float64
		want   []float64
	}{
		{"round", round(2), wire.FP32, []int64{3}, []float64{1.23456, -0.006, 7}, []float64{float64(float32(1.23)), float64(float32(-0.01)), 7}},
		{"round doubles", round(0), wire.FP64, []int64{4}, []float64{0.5, 1.5, -2.5, 1e300}, []float64{0, 2, -2, 1e300}},
		{"round halves", round(1), wire.FP16, []int64{2}, []float64{1.25, 100.06}, []float64{float64(wire.FromFP16(wire.ToFP16(1.2))), float64(wire.FromFP16(wire.ToFP16(100.1)))}},
		{"round leaves what is no number", round(1), wire.FP64, []int64{2}, []float64{math.Inf(1), nan}, []float64{math.Inf(1), nan}},
		{"zero", action("zero"), wire.BF16, []int64{2}, []float64{1, -2}, []float64{0, 0}},
		{"zero of truth", action("zero"), wire.Bool, []int64{2}, []float64{1, 1}, []float64{0, 0}},
		{"clip", clip(-1, 1), wire.FP32, []int64{4}, []float64{-5, -0.5, 0.25, 5}, []float64{-1, -0.5, 0.25, 1}},
		{"clip integers", clip(0, 100), wire.Int8, []int64{3}, []float64{-5, 50, 127}, []float64{0, 50, 100}},
		{"clip beyond the datatype", clip(-1000, 1000), wire.Uint8, []int64{2}, []float64{0, 255}, []float64{0, 255}},
		{"top 1 of a row", topK(1), wire.FP32, []int64{2, 3}, []float64{1, 3, 2, -1, -3, -2}, []float64{0, 3, 0, -1, 0, 0}},
		{"top 2 of equals", topK(2), wire.FP32, []int64{4}, []float64{1, 1, 1, 0}, []float64{1, 1, 0, 0}},
		{"top of more than there are", topK(9), wire.FP32, []int64{2}, []float64{1, 2}, []float64{1, 2}},
		{"top of what is no number", topK(1), wire.FP32, []int64{2}, []float64{nan, -7}, []float64{0, -7}},
		{"top of integers", topK(1), wire.Int64, []int64{3}, []float64{5, 1 << 62, -1}, []float64{0, 1 << 62, 0}},
		{"top of great unsigned ones", topK(1), wire.Uint64, []int64{2}, []float64{1 << 63, 5}, []float64{1 << 63, 0}},
		{"top of a scalar", topK(1), wire.FP32, nil, []float64{4}, []float64{4}},
		{"nothing at all", topK(1), wire.FP32, []int64{0}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			in := numeric(tt.typ, tensorOf(tt.typ, tt.in...), tt.shape...)
			got, refused := unary(t, plan(t, numbersRule(tt.action)), in, nil)
			if refused != nil {
				t.Fatal(refused)
			}
			if got == nil {
				got = in
			}
			same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
			if out := valuesOf(tt.typ, got.GetRawOutputContents()[0]); !slices.EqualFunc(out, tt.want, same) {
				t.Errorf("got  %v\nwant %v", out, tt.want)
			}
			if !proto.Equal(got.GetOutputs()[0], in.GetOutputs()[0]) {
				t.Errorf("the output's head changed: %v", got.GetOutputs()[0])
			}
		})
	}
}

// TestTypedNumbers changes numbers in typed contents, and takes out what those
// hold besides.
func TestTypedNumbers(t *testing.T) {
	checkBuffers(t)
	typedAnswer := func(datatype string, c *pb.InferTensorContents) *pb.ModelInferResponse {
		return &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{{Name: "x", Datatype: datatype, Shape: []int64{1, 2}, Contents: c}}}
	}
	tests := []struct {
		name     string
		action   masking.Action
		datatype string
		in, want *pb.InferTensorContents
	}{
		{"round", round(1), "FP32", &pb.InferTensorContents{Fp32Contents: []float32{1.26, 2}}, &pb.InferTensorContents{Fp32Contents: []float32{1.3, 2}}},
		{"clip", clip(-1, 1), "INT32", &pb.InferTensorContents{IntContents: []int32{-7, 7}}, &pb.InferTensorContents{IntContents: []int32{-1, 1}}},
		{"zero", action("zero"), "BOOL", &pb.InferTensorContents{BoolContents: []bool{true, true}}, &pb.InferTensorContents{BoolContents: []bool{false, false}}},
		{"top", topK(1), "UINT64", &pb.InferTensorContents{Uint64Contents: []uint64{math.MaxUint64, 1}}, &pb.InferTensorContents{Uint64Contents: []uint64{math.MaxUint64, 0}}},
		{"other lists", round(0), "FP64", &pb.InferTensorContents{Fp64Contents: []float64{1.4, 2}, Fp32Contents: []float32{1.4, 2}, BytesContents: [][]byte{[]byte("1.4")}}, &pb.InferTensorContents{Fp64Contents: []float64{1, 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, refused := unary(t, plan(t, numbersRule(tt.action)), typedAnswer(tt.datatype, tt.in), nil)
			if refused != nil {
				t.Fatal(refused)
			}
			if want := typedAnswer(tt.datatype, tt.want); !proto.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func TestNumbersRefused(t *testing.T) {
	checkBuffers(t)
	fp32 := tensorOf(wire.FP32, 1, 2, 3)
	tests := []struct {
		name   string
		action masking.Action
		in     *pb.ModelInferResponse
		words  string
	}{
		{"text", round(1), output(&pb.ModelInferResponse{}, raw, "x", "1.25"), "BYTES"},
		{"round of integers", round(1), numeric(wire.Int32, tensorOf(wire.Int32, 1), 1), "INT32"},
		{"noise on truth", noise(1), numeric(wire.Bool, []byte{1}, 1), "BOOL"},
		{"half an element", round(1), numeric(wire.FP32, fp32[:7], 3), "ends within an element"},
		{"rows that do not fit", topK(1), numeric(wire.FP32, fp32, 2), "shape"},
		{"a last dimension of none", topK(1), numeric(wire.FP32, fp32, 3, 0), "shape"},
		{"a negative last dimension", topK(1), numeric(wire.FP32, fp32, -1), "shape"},
		{"a huge last dimension", topK(1), numeric(wire.FP32, fp32, math.MaxInt64), "shape"},
		{"unknown datatype", action("zero"), &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{{Name: "x", Datatype: "FP8"}}, RawOutputContents: [][]byte{{1}}}, "datatype"},
		{"in shared memory", action("zero"), &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{{
			Name: "x", Datatype: "FP32", Parameters: map[string]*pb.InferParameter{"shared_memory_region": {}},
		}}}, "shared memory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, refused := unary(t, plan(t, numbersRule(tt.action)), tt.in, nil)
			wantRefusal(t, refused, access.PermissionDenied, tt.words, `"x"`, `"numbers"`)
		})
	}
}

func TestNoise(t *testing.T) {
	checkBuffers(t)
	p := plan(t, numbersRule(noise(0.5)))
	in := numeric(wire.FP64, make([]byte, 8*20_000), 20_000)
	var sums [2]float64
	var first []float64
	for i := range sums {
		got, refused := unary(t, p, in, nil)
		if refused != nil {
			t.Fatal(refused)
		}
		values := valuesOf(wire.FP64, got.GetRawOutputContents()[0])
		for _, v := range values {
			sums[i] += v * v
		}
		if slices.Equal(values, first) {
			t.Error("the same noise twice")
		}
		first = values
		if deviation := math.Sqrt(sums[i] / 20_000); deviation < 0.48 || deviation > 0.52 {
			t.Errorf("the noise's deviation is %v", deviation)
		}
	}
	got, refused := unary(t, plan(t, numbersRule(noise(1000))), numeric(wire.Int8, make([]byte, 100), 100), nil)
	if refused != nil {
		t.Fatal(refused)
	}
	for _, v := range valuesOf(wire.Int8, got.GetRawOutputContents()[0]) {
		if v != 127 && v != -128 && math.Abs(v) > 127 {
			t.Errorf("%v is no INT8", v)
		}
	}
}

// TestNumbersInTurn does what two rules say, in their order.
func TestNumbersInTurn(t *testing.T) {
	checkBuffers(t)
	second := numbersRule(round(0))
	second.Name = "second"
	got, refused := unary(t, plan(t, numbersRule(clip(0, 1.5)), second), numeric(wire.FP32, tensorOf(wire.FP32, 7, 0.4), 2), nil)
	if refused != nil {
		t.Fatal(refused)
	}
	if out := valuesOf(wire.FP32, got.GetRawOutputContents()[0]); !slices.Equal(out, []float64{2, 0}) {
		t.Errorf("got %v", out)
	}
}

// TestDropOutput takes outputs out with their data, whatever they are.
func TestDropOutput(t *testing.T) {
	checkBuffers(t)
	for _, how := range []layout{raw, typed} {
		in := output(output(output(&pb.ModelInferResponse{}, how, "a", "1"), how, "x", "2"), how, "b", "3")
		got, refused := unary(t, plan(t, numbersRule(action("drop"))), in, nil)
		if refused != nil {
			t.Fatal(refused)
		}
		if want := output(output(&pb.ModelInferResponse{}, how, "a", "1"), how, "b", "3"); !proto.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	}
	only := numbersRule(action("drop"))
	only.Datatypes = []string{"FP32"}
	if got, refused := unary(t, plan(t, only), output(&pb.ModelInferResponse{}, raw, "x", "2"), nil); got != nil || refused != nil {
		t.Errorf("another datatype: %v, %v", got, refused)
	}
}

// TestManyOutputs drops every second one of many, on a stream.
func TestManyOutputs(t *testing.T) {
	checkBuffers(t)
	in := &pb.ModelInferResponse{}
	want := &pb.ModelInferResponse{}
	for i := range 100 {
		data := binary.LittleEndian.AppendUint32(nil, uint32(i))
		name := []string{"x", "y"}[i%2]
		add := func(r *pb.ModelInferResponse) {
			r.Outputs = append(r.Outputs, &pb.ModelInferResponse_InferOutputTensor{Name: name, Datatype: "UINT32", Shape: []int64{1}})
			r.RawOutputContents = append(r.RawOutputContents, data)
		}
		add(in)
		if name == "y" {
			add(want)
		}
	}
	got, refused := sent(t, plan(t, numbersRule(action("drop"))).Answers(decoupled), true, answer(true, in))
	if refused != nil || len(got) != 1 {
		t.Fatalf("%v, %d answers", refused, len(got))
	}
	if want := answer(true, want); !proto.Equal(got[0], want) {
		t.Errorf("got %v", got[0])
	}
}
