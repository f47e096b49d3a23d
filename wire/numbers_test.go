package wire_test

import (
	"math"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// TestHalves holds every FP16 to the definition of IEEE 754, and back.
func TestHalves(t *testing.T) {
	for h := range 1 << 16 {
		sign, exp, frac := 1.0, h>>10&0x1f, float64(h&0x3ff)
		if h&0x8000 != 0 {
			sign = -1
		}
		want := sign * math.Ldexp(1+frac/1024, exp-15)
		switch {
		case exp == 0:
			want = sign * math.Ldexp(frac/1024, -14)
		case exp == 31 && frac == 0:
			want = math.Inf(int(sign))
		case exp == 31:
			if !math.IsNaN(float64(wire.FromFP16(uint16(h)))) || wire.ToFP16(math.NaN())&0x7e00 != 0x7e00 {
				t.Fatalf("%04x is NaN", h)
			}
			continue
		}
		got := float64(wire.FromFP16(uint16(h)))
		if got != want || math.Signbit(got) != math.Signbit(want) {
			t.Fatalf("%04x is %v, not %v", h, want, got)
		}
		if back := wire.ToFP16(want); int(back) != h {
			t.Fatalf("%v is %04x, not %04x", want, h, back)
		}
	}
}

func TestRounding(t *testing.T) {
	tests := []struct {
		name string
		typ  wire.Datatype
		in   float64
		want float64
	}{
		{"half, tie to even below", wire.FP16, 2049, 2048},
		{"half, tie to even above", wire.FP16, 2051, 2052},
		{"half, carries into the exponent", wire.FP16, 4095.9, 4096},
		{"half, greatest", wire.FP16, 65519, 65504},
		{"half, too great", wire.FP16, 65520, math.Inf(1)},
		{"half, least", wire.FP16, math.Ldexp(1, -24), math.Ldexp(1, -24)},
		{"half, too small", wire.FP16, math.Ldexp(1, -26), 0},
		{"half, subnormal rounds up to normal", wire.FP16, math.Ldexp(0.99999, -14), math.Ldexp(1, -14)},
		{"bfloat, tie to even below", wire.BF16, 257, 256},
		{"bfloat, tie to even above", wire.BF16, 259, 260},
		{"bfloat, just over a tie", wire.BF16, 257 + math.Ldexp(1, -40), 258},
		{"bfloat, just under a tie", wire.BF16, 259 - math.Ldexp(1, -40), 258},
		{"bfloat, too great", wire.BF16, math.MaxFloat64, math.Inf(1)},
		{"bfloat, negative", wire.BF16, -1.5, -1.5},
		{"single", wire.FP32, 0.1, float64(float32(0.1))},
		{"double", wire.FP64, 0.1, 0.1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b [8]byte
			tt.typ.PutFloat(b[:], tt.in)
			if got := tt.typ.Float(b[:]); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	for _, typ := range []wire.Datatype{wire.FP16, wire.BF16, wire.FP32, wire.FP64} {
		var b [8]byte
		if typ.PutFloat(b[:], math.NaN()); !math.IsNaN(typ.Float(b[:])) {
			t.Errorf("%v has no NaN", typ)
		}
	}
}

func TestIntegers(t *testing.T) {
	tests := []struct {
		typ  wire.Datatype
		in   int64
		want int64
	}{
		{wire.Int8, -128, -128},
		{wire.Uint8, 255, 255},
		{wire.Int16, -2, -2},
		{wire.Uint16, 65535, 65535},
		{wire.Int32, math.MinInt32, math.MinInt32},
		{wire.Uint32, math.MaxUint32, math.MaxUint32},
		{wire.Int64, math.MinInt64, math.MinInt64},
		{wire.Uint64, -1, -1},
		{wire.Int8, 300, 44}, // the low bits
	}
	for _, tt := range tests {
		var b [8]byte
		if tt.typ.PutInteger(b[:], tt.in); tt.typ.Integer(b[:]) != tt.want {
			t.Errorf("%v: %d became %d", tt.typ, tt.in, tt.typ.Integer(b[:]))
		}
	}
}

func TestDatatypes(t *testing.T) {
	sizes := map[string]int{
		"BOOL": 1, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8,
		"FP16": 2, "BF16": 2, "FP32": 4, "FP64": 8, "BYTES": 0,
	}
	for name, size := range sizes {
		m := wire.FromBytes(encode(t, &inference.ModelInferResponse{Outputs: []*inference.ModelInferResponse_InferOutputTensor{{Datatype: name}}}))
		view, err := m.InferResponse()
		if err != nil {
			t.Fatal(err)
		}
		for out := range view.Outputs() {
			if typ := out.Type(); typ != wire.ParseDatatype(name) || typ.String() != name || typ.Size() != size || typ.IsFloat() && typ.IsInteger() {
				t.Errorf("%s is read as %v of %d bytes", name, typ, typ.Size())
			}
		}
	}
	if wire.ParseDatatype("fp32") != wire.UnknownType || wire.ParseDatatype("") != wire.UnknownType {
		t.Error("a datatype that there is not")
	}
}

// TestAppendContents writes every typed list and has protobuf read it.
func TestAppendContents(t *testing.T) {
	want := map[wire.Datatype]*inference.InferTensorContents{
		wire.Bool:   {BoolContents: []bool{true, false}},
		wire.Int8:   {IntContents: []int32{-1, 2}},
		wire.Int32:  {IntContents: []int32{-1, 2}},
		wire.Int64:  {Int64Contents: []int64{-1, 2}},
		wire.Uint16: {UintContents: []uint32{65535, 2}},
		wire.Uint64: {Uint64Contents: []uint64{math.MaxUint64, 2}},
		wire.FP32:   {Fp32Contents: []float32{-1, 2}},
		wire.FP64:   {Fp64Contents: []float64{-1, 2}},
		wire.FP16:   {},
		wire.Bytes:  {},
	}
	for typ, contents := range want {
		raw := make([]byte, 2*typ.Size())
		for i, v := range []int64{-1, 2} {
			switch at := raw[i*typ.Size():]; {
			case typ == wire.Bytes:
			case typ == wire.Bool:
				at[0] = byte(1 - i)
			case typ.IsFloat():
				typ.PutFloat(at, float64(v))
			default:
				typ.PutInteger(at, v)
			}
		}
		got := new(inference.InferTensorContents)
		if err := proto.Unmarshal(wire.AppendContents(nil, typ, raw), got); err != nil || !proto.Equal(got, contents) {
			t.Errorf("%v: got %v and %v, want %v", typ, got, err, contents)
		}
	}
}
