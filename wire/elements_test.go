package wire_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// element is one of a BYTES tensor's, with a length that may lie.
func element(length int, data string) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(length)), data...)
}

func TestElements(t *testing.T) {
	tests := []struct {
		name string
		raw  []byte
		want []string
		err  error
	}{
		{"none", nil, nil, nil},
		{"one", element(3, "abc"), []string{"abc"}, nil},
		{"empty ones", slices.Concat(element(0, ""), element(0, "")), []string{"", ""}, nil},
		{"several", slices.Concat(element(3, "abc"), element(0, ""), element(2, "de")), []string{"abc", "", "de"}, nil},
		{"half a prefix", append(element(1, "a"), 1, 0), []string{"a"}, wire.ErrElementPrefix},
		{"only half a prefix", []byte{1}, nil, wire.ErrElementPrefix},
		{"too long by one", element(4, "abc"), nil, wire.ErrElementLength},
		{"as long as can be", element(-1, "abc"), nil, wire.ErrElementLength},
		{"the second lies", slices.Concat(element(1, "a"), element(100, "b")), []string{"a"}, wire.ErrElementLength},
	}
	for _, tt := range tests {
		for _, n := range []int{1, 2, 3, 5, 1000} {
			t.Run(tt.name, func(t *testing.T) {
				checkBuffers(t)
				m := pooled(encode(t, &inference.ModelInferResponse{RawOutputContents: [][]byte{tt.raw}}), n)
				defer m.Free()
				view, err := m.InferResponse()
				if err != nil {
					t.Fatal(err)
				}
				for raw := range view.Raw() {
					checkElements(t, raw, tt.want, tt.err)
				}
			})
		}
	}
}

func checkElements(t *testing.T, raw wire.Span, want []string, wantErr error) {
	t.Helper()
	var got []string
	start, _ := raw.Range()
	it := raw.Elements()
	for it.Next() {
		e := it.Element()
		var b strings.Builder
		for chunk := range e.Chunks() {
			b.Write(chunk)
		}
		if from, _ := e.Range(); it.Prefix().Start != start || it.Prefix().End != from || from != start+4 {
			t.Errorf("the prefix of %q is said to be at %v", b.String(), it.Prefix())
		}
		start += 4 + e.Len()
		got = append(got, b.String())
	}
	if !slices.Equal(got, want) || !errors.Is(it.Err(), wantErr) {
		t.Errorf("got %q and %v, want %q and %v", got, it.Err(), want, wantErr)
	}
	if it.Next() {
		t.Error("it goes on after its end")
	}
}

// TestElementsCopyNothing walks a large tensor in one buffer.
func TestElementsCopyNothing(t *testing.T) {
	var raw []byte
	for range 10_000 {
		raw = append(raw, element(20, "abcdefghijklmnopqrst")...)
	}
	m := wire.FromBytes(encode(t, &inference.ModelInferResponse{RawOutputContents: [][]byte{raw}}))
	view, err := m.InferResponse()
	if err != nil {
		t.Fatal(err)
	}
	var data wire.Span
	for data = range view.Raw() {
	}
	n := 0
	allocs := testing.AllocsPerRun(5, func() {
		for it := data.Elements(); it.Next(); {
			n += len(it.Element().Bytes())
		}
	})
	if allocs > 0 || n == 0 {
		t.Errorf("%v allocations for %d bytes", allocs, n)
	}
}

func TestFields(t *testing.T) {
	checkBuffers(t)
	want := fullResponse()
	m := pooled(encode(t, &inference.ModelStreamInferResponse{InferResponse: want}), 7)
	defer m.Free()
	view, err := m.StreamResponse()
	if err != nil {
		t.Fatal(err)
	}
	for out := range view.Response().Outputs() {
		c := out.Contents()
		var texts []string
		for b := range c.Bytes() {
			texts = append(texts, b.String())
		}
		if !slices.Equal(texts, []string{"\xff", ""}) || c.Range() == (wire.Range{}) {
			t.Errorf("got %q at %v", texts, c.Range())
		}
		for datatype, numbers := range map[string][]uint64{
			"BOOL": {1, 0}, "INT32": {^uint64(0), 1, 300}, "INT8": {^uint64(0), 1, 300}, "INT64": {^uint64(0), 1 << 62},
			"UINT32": {1 << 31}, "UINT64": {1 << 63, 0}, "FP32": {0x3fc00000, 0xc0000000}, "FP64": {0x4004000000000000},
			"FP16": nil, "BYTES": nil, "other": nil,
		} {
			if got := slices.Collect(c.Numbers(datatype)); !slices.Equal(got, numbers) {
				t.Errorf("%s: got %x, want %x", datatype, got, numbers)
			}
		}
	}
}
