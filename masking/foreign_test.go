package masking_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
)

// TestFieldsThatNobodyKnows are left out, and nothing else is.
func TestFieldsThatNobodyKnows(t *testing.T) {
	checkBuffers(t)
	in := output(&pb.ModelInferResponse{ModelName: "m", Id: "7"}, raw, "text", "nothing")
	want := proto.Clone(in)
	secret := protowire.AppendString(protowire.AppendTag(nil, 99, protowire.BytesType), "a@b.org")
	in.ProtoReflect().SetUnknown(secret)
	in.Outputs[0].ProtoReflect().SetUnknown(secret)
	got, refused := unary(t, plan(t, redacts(nil)), in, nil)
	if refused != nil || !proto.Equal(got, want) {
		t.Errorf("got %v, %v", got, refused)
	}
	s := plan(t, redacts(nil)).Answers(masking.Facts{})
	m := message(t, &pb.ModelStreamInferResponse{InferResponse: in}, 16)
	defer m.Free()
	before, out, refused := s.Mask(t.Context(), m)
	if refused != nil || before != nil || out == m {
		t.Fatalf("got %v, %v, %v", before, out, refused)
	}
	defer out.Free()
	streamed := new(pb.ModelStreamInferResponse)
	if err := out.Unmarshal(streamed); err != nil || !proto.Equal(streamed.GetInferResponse(), want) {
		t.Errorf("got %v, %v", streamed, err)
	}
}

// TestNumbersThatAreNone: raw data under a datatype of numbers is not looked into,
// so it has to be as long as numbers of its shape are.
func TestNumbersThatAreNone(t *testing.T) {
	for _, c := range []struct {
		name, datatype string
		shape          []int64
		n              int
		refused        bool
	}{
		{"numbers", "FP32", []int64{2, 3}, 24, false},
		{"of one byte", "BOOL", []int64{5}, 5, false},
		{"of no dimension", "INT64", nil, 8, false},
		{"none", "INT64", []int64{0, 4}, 0, false},
		{"in shared memory", "FP32", []int64{2, 3}, 0, false},
		{"of nine dimensions", "UINT8", []int64{1, 1, 1, 1, 1, 1, 1, 2, 3}, 6, false},
		{"too long", "FP32", []int64{2, 3}, 25, true},
		{"too short", "FP32", []int64{2, 3}, 20, true},
		{"of an empty shape", "FP32", []int64{0}, 4, true},
		{"of a negative shape", "FP32", []int64{-1, -6}, 24, true},
		{"of a shape beyond all numbers", "UINT8", []int64{1 << 32, 1 << 32, 1 << 32}, 24, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkBuffers(t)
			in := &pb.ModelInferResponse{
				Outputs:           []*pb.ModelInferResponse_InferOutputTensor{{Name: "x", Datatype: c.datatype, Shape: c.shape}},
				RawOutputContents: [][]byte{make([]byte, c.n)},
			}
			got, refused := unary(t, plan(t, redacts(nil)), in, nil)
			if got != nil || (refused != nil) != c.refused || refused != nil && !strings.Contains(refused.Message, "of another length") {
				t.Errorf("got %v, %v", got, refused)
			}
		})
	}
}
