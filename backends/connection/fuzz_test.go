package connection_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// FuzzRaw: whatever a server answers, it comes out as a response whose outputs
// all are raw, or as the error of a server that does not speak the protocol.
func FuzzRaw(f *testing.F) {
	for _, seed := range []*inference.ModelInferResponse{
		answering("BYTES", []int64{2}, &contents{BytesContents: [][]byte{[]byte("hi"), nil}}),
		answering("INT8", []int64{1, -1}, &contents{IntContents: []int32{-1}}),
		answering("FP32", []int64{1 << 40, 1 << 40}, &contents{Fp32Contents: []float32{1}}),
		{Id: "7", RawOutputContents: [][]byte{{1}}},
	} {
		b, err := proto.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after inference.ModelInferResponse
		sound := proto.Unmarshal(b, &before) == nil
		m := wire.FromBytes(b)
		defer m.Free()
		if err := connection.Raw(m); err != nil {
			if e, ok := access.AsError(err); !ok || e.Kind != access.Unavailable {
				t.Fatalf("got %v", err)
			}
			return
		}
		if err := m.Unmarshal(&after); err != nil || !sound {
			t.Fatalf("%v, of an answer that parsed: %t", err, sound)
		}
		typed := len(before.GetRawOutputContents()) == 0
		for i, out := range after.GetOutputs() {
			if typed && proto.Size(out.GetContents()) > 0 {
				t.Errorf("output %d is typed still", i)
			}
		}
		if got, want := len(after.GetRawOutputContents()), len(after.GetOutputs()); typed && after.GetRawOutputContents() != nil && got != want {
			t.Errorf("%d raw contents for %d outputs", got, want)
		}
		if after.GetId() != before.GetId() || after.GetModelName() != before.GetModelName() || len(after.GetParameters()) != len(before.GetParameters()) {
			t.Errorf("got %v of %v", &after, &before)
		}
	})
}
