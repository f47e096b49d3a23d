package models

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// The demo's models take few datatypes; the tables here are about the others,
// which the code serves all the same.

func TestFilledContents(t *testing.T) {
	type contents = inference.InferTensorContents
	for _, tc := range []struct {
		declared string
		contents *contents
		accepted string // the datatype that the field is for
		want     []byte
	}{
		{"BOOL", &contents{BoolContents: []bool{true, false}}, "BOOL", []byte{1, 0}},
		{"INT8", &contents{IntContents: []int32{-1, 257}}, "INT8", []byte{0xff, 1}}, // the low byte, whatever the range
		{"INT16", &contents{IntContents: []int32{-2, 65536}}, "INT16", []byte{0xfe, 0xff, 0, 0}},
		{"INT32", &contents{IntContents: []int32{-2}}, "INT32", []byte{0xfe, 0xff, 0xff, 0xff}},
		{"INT64", &contents{Int64Contents: []int64{-2}}, "INT64", []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"UINT8", &contents{UintContents: []uint32{255, 256}}, "UINT8", []byte{255, 0}},
		{"UINT16", &contents{UintContents: []uint32{258}}, "UINT16", []byte{2, 1}},
		{"UINT32", &contents{UintContents: []uint32{258}}, "UINT32", []byte{2, 1, 0, 0}},
		{"UINT64", &contents{Uint64Contents: []uint64{258}}, "UINT64", []byte{2, 1, 0, 0, 0, 0, 0, 0}},
		{"FP32", &contents{Fp32Contents: []float32{1}}, "FP32", []byte{0, 0, 0x80, 0x3f}},
		{"FP64", &contents{Fp64Contents: []float64{1}}, "FP64", []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f}},
		{"BYTES", &contents{BytesContents: [][]byte{{'a'}, {}}}, "BYTES", []byte{1, 0, 0, 0, 'a', 0, 0, 0, 0}},
		// Neither half-precision type has a field; the one next to it is for another.
		{"FP16", &contents{Fp32Contents: []float32{1}}, "FP32", []byte{0, 0, 0x80, 0x3f}},
		{"BF16", &contents{Fp32Contents: []float32{1}}, "FP32", []byte{0, 0, 0x80, 0x3f}},
	} {
		t.Run(tc.declared, func(t *testing.T) {
			all := filled(tc.contents, tc.declared)
			if len(all) != 1 || all[0].datatype != tc.accepted {
				t.Fatalf("fields %v, want one for %s", all, tc.accepted)
			}
			if got := all[0].raw(); !bytes.Equal(got, tc.want) {
				t.Errorf("raw %x, want %x", got, tc.want)
			}
		})
	}
	t.Run("nothing", func(t *testing.T) {
		if all := filled(&contents{}, "INT32"); len(all) != 0 {
			t.Errorf("fields %v", all)
		}
	})
}

func TestClassifyDatatypes(t *testing.T) {
	for _, tc := range []struct {
		datatype string
		data     []byte
		want     []string
	}{
		{"INT8", []byte{0xff, 3}, []string{"3:1", "-1:0"}},
		{"INT16", []byte{0xff, 0xff, 3, 0}, []string{"3:1", "-1:0"}},
		{"INT32", []byte{0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0}, []string{"3:1", "-1:0"}},
		{"INT64", append(bytes.Repeat([]byte{0xff}, 8), 3, 0, 0, 0, 0, 0, 0, 0), []string{"3:1", "-1:0"}},
		{"UINT8", []byte{1, 255}, []string{"255:1", "1:0"}},
		{"UINT16", []byte{1, 0, 0xff, 0xff}, []string{"65535:1", "1:0"}},
		{"UINT32", []byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, []string{"4294967295:1", "1:0"}},
		{"UINT64", append([]byte{1, 0, 0, 0, 0, 0, 0, 0}, bytes.Repeat([]byte{0xff}, 8)...), []string{"18446744073709551615:1", "1:0"}},
		{"FP32", pack([]float32{0.1, 2}, appendFloat), []string{"2.000000:1", "0.100000:0"}}, // six digits, as C++ prints it
		{"FP64", []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f}, []string{"1.000000:0"}},
	} {
		t.Run(tc.datatype, func(t *testing.T) {
			n := int64(len(tc.want))
			got, err := classify(tensor{name: "o", datatype: tc.datatype, shape: []int64{n}, data: tc.data}, 5, false)
			if err != nil {
				t.Fatal(err)
			}
			var values []string
			for _, e := range elements(got.data) {
				values = append(values, string(e))
			}
			if !slices.Equal(values, tc.want) || got.datatype != "BYTES" || !slices.Equal(got.shape, []int64{n}) {
				t.Errorf("%s %v %q, want BYTES [%d] %q", got.datatype, got.shape, values, n, tc.want)
			}
		})
	}
}

func appendFloat(b []byte, v float32) []byte {
	return appendInt32(b, int32(math.Float32bits(v)))
}

func TestClassifyRefusals(t *testing.T) {
	for _, tc := range []struct {
		name string
		t    tensor
		text string
	}{
		{"truth values", tensor{datatype: "BOOL", data: []byte{1}}, "class result not available for output due to unsupported type 'BOOL'"},
		{"half precision", tensor{datatype: "FP16", data: []byte{0, 0}}, "class result not available for output due to unsupported type 'FP16'"},
		{"too many", tensor{datatype: "UINT8", data: make([]byte, maxClassified+1)}, "classification output tensor too large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := classify(tc.t, 1, false); err == nil || !strings.HasSuffix(err.Error(), tc.text) {
				t.Errorf("%v, want %q", err, tc.text)
			}
		})
	}
}

func TestProduct(t *testing.T) {
	for _, tc := range []struct {
		name  string
		shape []int64
		want  int64
		ok    bool
	}{
		{"of nothing", nil, 1, true},
		{"plain", []int64{2, 3, 4}, 24, true},
		{"with none", []int64{2, 0, 1 << 40}, 0, true},
		{"negative", []int64{2, -1}, 0, false},
		{"two negatives", []int64{-2, -3}, 0, false},
		{"least", []int64{math.MinInt64}, 0, false},
		{"great", []int64{1 << 31, 1 << 31}, 1 << 62, true},
		{"too great", []int64{1 << 32, 1 << 31}, 0, false},
		{"around to a small one", []int64{1 << 32, 1 << 32, 5}, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, ok := product(tc.shape); ok != tc.ok || got != tc.want {
				t.Errorf("%d %v, want %d %v", got, ok, tc.want, tc.ok)
			}
		})
	}
}

// TestParseVersion has what C's stol reads and what it does not.
func TestParseVersion(t *testing.T) {
	for _, tc := range []struct {
		version string
		want    int64
		ok      bool
	}{
		{"", -1, true},
		{"1", 1, true},
		{"007", 7, true},
		{"+3", 3, true},
		{" \t2", 2, true},
		{"1x", 1, true},
		{"1 2", 1, true},
		{"0", 0, true},
		{"9223372036854775807", math.MaxInt64, true},
		{"9223372036854775808", 0, false},
		{"x", 0, false},
		{"+", 0, false},
		{"-", 0, false},
		{"-0", 0, true},
		{"-1", 0, false},
		{" ", 0, false},
		{"+-1", 0, false},
		{"\x00", 0, false},
		{"１", 0, false},
	} {
		got, err := parseVersion(tc.version)
		if (err == nil) != tc.ok || got != tc.want {
			t.Errorf("%q: %d, %v; want %d, %v", tc.version, got, err, tc.want, tc.ok)
		}
	}
}

func TestCutLosesNothing(t *testing.T) {
	for n := range len(demoText) {
		if got := strings.Join(cut(demoText[:n]), ""); got != demoText[:n] {
			t.Fatalf("%d bytes: %q", n, got)
		}
	}
	for i, r := range demoText {
		if r >= 0x80 {
			t.Fatalf("byte %d of the text is not ASCII: a chunk could hold half a character", i)
		}
	}
}
