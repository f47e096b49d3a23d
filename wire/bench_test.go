package wire_test

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/grpc/mem"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// received is b as gRPC brings it: in frames of 16 KiB.
func received(b []byte) *wire.Message {
	var bufs mem.BufferSlice
	for len(b) > 0 {
		k := min(16<<10, len(b))
		bufs = append(bufs, mem.SliceBuffer(b[:k:k]))
		b = b[k:]
	}
	return wire.New(bufs)
}

// smallRequest is what tritonclient sends to "simple".
func smallRequest(raw int) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName: "simple", Id: "42",
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, 16}},
			{Name: "INPUT1", Datatype: "INT32", Shape: []int64{1, 16}},
		},
		Outputs:          []*inference.ModelInferRequest_InferRequestedOutputTensor{{Name: "OUTPUT0"}, {Name: "OUTPUT1"}},
		RawInputContents: [][]byte{make([]byte, raw/2), make([]byte, raw/2)},
	}
}

var sizes = []struct {
	name string
	raw  int
}{{"small", 128}, {"1MiB", 1 << 20}, {"16MiB", 16 << 20}}

func BenchmarkScan(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			bufs := received(encode(b, smallRequest(size.raw))).Buffers()
			b.ReportAllocs()
			for b.Loop() {
				m := wire.New(bufs)
				view, err := m.InferRequest()
				if err != nil || !view.ModelName().Is("simple") || view.Ambiguous() {
					b.Fatal(err)
				}
				for in := range view.Inputs() {
					if in.Parameters().Has("shared_memory_region") {
						b.Fatal("no such parameter")
					}
				}
			}
		})
	}
}

// BenchmarkScanTyped is a request whose data protobuf has to look at.
func BenchmarkScanTyped(b *testing.B) {
	req := smallRequest(0)
	req.Inputs[0].Contents = &inference.InferTensorContents{IntContents: make([]int32, 1<<20)}
	for i := range req.Inputs[0].Contents.IntContents {
		req.Inputs[0].Contents.IntContents[i] = int32(i)
	}
	body := encode(b, req)
	bufs := received(body).Buffers()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.New(bufs).InferRequest(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCanonical(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			body := append(encode(b, &inference.ModelInferRequest{ModelName: "x"}), encode(b, smallRequest(size.raw))...)
			m := received(body)
			view, err := m.InferRequest()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				out, err := view.Canonical()
				if err != nil {
					b.Fatal(err)
				}
				out.Free()
			}
		})
	}
}

// BenchmarkHostile is 16 MiB of structure: what the worst message costs.
func BenchmarkHostile(b *testing.B) {
	for _, tt := range heavy(16 << 20) {
		m := received(tt.b)
		b.Run("scan "+tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m = wire.New(m.Buffers())
				if _, err := m.InferRequest(); err != nil {
					b.Fatal(err)
				}
			}
		})
		view, err := m.InferRequest()
		if err != nil {
			b.Fatal(err)
		}
		b.Run("canonical "+tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out, err := view.Canonical()
				if err != nil {
					b.Fatal(err)
				}
				out.Free()
			}
		})
	}
}

// heavyMessage is a request of some size that is all structure.
type heavyMessage struct {
	name           string
	b              []byte
	scan, canonize uint64 // bytes of memory allowed
}

func heavy(size int) []heavyMessage {
	twice := msg{}.bytes(5, msg{}.str(1, "a").str(1, "b"))
	var distinct msg
	for i := 0; len(distinct) < size; i++ {
		distinct = distinct.bytes(4, msg{}.str(1, string([]byte{byte(i & 0x7f), byte(i >> 7 & 0x7f), byte(i >> 14 & 0x7f)})))
	}
	const little = 1 << 16
	return []heavyMessage{
		{"empty inputs", bytes.Repeat([]byte{0x2a, 0}, size/2), little, 2 * uint64(size)},
		{"empty parameters", bytes.Repeat([]byte{0x22, 0}, size/2), little, 2 * uint64(size)},
		{"empty raw contents", bytes.Repeat([]byte{0x3a, 0}, size/2), little, 2 * uint64(size)},
		{"distinct parameters", distinct, 3 * uint64(size), 5 * uint64(size)},
		{"ambiguous inputs", bytes.Repeat(twice, size/len(twice)), little, 2 * uint64(size)},
		{"empty contents in one input", msg{}.bytes(5, bytes.Repeat([]byte{0x2a, 0}, size/2)), little, 2 * uint64(size)},
		{"shape of varints", msg{}.bytes(5, bytes.Repeat([]byte{0x18, 1}, size/2)), little, 2 * uint64(size)},
	}
}

func BenchmarkCodec(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			m := received(encode(b, smallRequest(size.raw)))
			codec := wire.Codec{}
			b.ReportAllocs()
			for b.Loop() {
				out, err := codec.Marshal(m)
				if err != nil {
					b.Fatal(err)
				}
				var back wire.Message
				if err := codec.Unmarshal(out, &back); err != nil {
					b.Fatal(err)
				}
				out.Free()
				back.Free()
			}
		})
	}
}

func BenchmarkReceive(b *testing.B) {
	for _, name := range []string{"", "gzip"} {
		for _, size := range sizes {
			b.Run(fmt.Sprintf("%s%s", name, size.name), func(b *testing.B) {
				body := encode(b, smallRequest(size.raw))
				wireForm := framed(0, body)
				if name != "" {
					wireForm = framed(1, compressed(b, name, body))
				}
				f := &benchTransport{fakeTransport{frame: 16 << 10, encoding: name}}
				r := wire.NewReceiver(fakeStream{ctx: f.context()})
				a := wire.NewBudget(wire.BudgetConfig{}).Account("alice")
				defer a.Close()
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					f.data = wireForm
					var m wire.Message
					if err := r.Recv(&m, a); err != nil {
						b.Fatal(err)
					}
					m.Free()
				}
			})
		}
	}
}
