package dialect_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"google.golang.org/grpc/mem"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/wire"
)

const million = 1_000_000

// floats are random FP32 values in raw form, and as JSON with all their digits.
func floats(n int) (raw []byte, json []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		f := r.Float32()
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
		if i > 0 {
			json = append(json, ',')
		}
		json = strconv.AppendFloat(json, float64(f), 'f', -1, 64)
	}
	return raw, json
}

// BenchmarkDecodeFP32 reads a request of a million FP32 in JSON.
func BenchmarkDecodeFP32(b *testing.B) {
	_, json := floats(million)
	body := fmt.Appendf(nil, `{"inputs":[{"name":"INPUT0","shape":[1,%d],"datatype":"FP32","data":[%s]}]}`, million, json)
	account := wire.NewBudget(wire.BudgetConfig{}).Account("p")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var m wire.Message
		in, err := wire.NewIntake(&m, account, mem.DefaultBufferPool(), wire.MaxMessage)
		if err != nil {
			b.Fatal(err)
		}
		if err := (&dialect.Infer{Model: "m", JSON: -1}).Receive(bytes.NewReader(body), in); err != nil {
			b.Fatal(err)
		}
		m.Free()
	}
}

// BenchmarkEncodeFP32 writes an answer of a million FP32 as JSON.
func BenchmarkEncodeFP32(b *testing.B) {
	raw, _ := floats(million)
	m, err := wire.FromProto(&pb.ModelInferResponse{
		ModelName: "m", ModelVersion: "1", RawOutputContents: [][]byte{raw},
		Outputs: []*pb.ModelInferResponse_InferOutputTensor{{Name: "OUTPUT0", Datatype: "FP32", Shape: []int64{1, million}}},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Free()
	page := make([]byte, dialect.PageSize)
	b.ReportAllocs()
	for b.Loop() {
		a, err := dialect.NewAnswer(m, new(dialect.Wanted))
		if err != nil {
			b.Fatal(err)
		}
		p := dialect.NewPage(page, func([]byte) error { return nil })
		if err := a.JSON(p); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(p.Size())
	}
}
