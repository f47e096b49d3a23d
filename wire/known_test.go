package wire_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// TestKnown puts a field that nobody knows into each message of an answer, and
// wants what protobuf makes of it when told to discard such fields.
func TestKnown(t *testing.T) {
	field := protowire.AppendString(protowire.AppendTag(nil, 77, protowire.BytesType), "secret")
	odd := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 5) // a name that is no string
	for _, c := range []struct {
		name    string
		put     func(r *inference.ModelStreamInferResponse)
		foreign bool
	}{
		{"nothing", func(*inference.ModelStreamInferResponse) {}, false},
		{"the answer of a stream", func(r *inference.ModelStreamInferResponse) { r.ProtoReflect().SetUnknown(field) }, true},
		{"the response", func(r *inference.ModelStreamInferResponse) {
			r.GetInferResponse().ProtoReflect().SetUnknown(field)
		}, true},
		{"an output", func(r *inference.ModelStreamInferResponse) {
			r.GetInferResponse().GetOutputs()[0].ProtoReflect().SetUnknown(field)
		}, true},
		{"a known number of another type", func(r *inference.ModelStreamInferResponse) {
			r.GetInferResponse().GetOutputs()[0].ProtoReflect().SetUnknown(odd)
		}, true},
		{"contents", func(r *inference.ModelStreamInferResponse) {
			r.GetInferResponse().GetOutputs()[0].GetContents().ProtoReflect().SetUnknown(field)
		}, true},
		{"a parameter", func(r *inference.ModelStreamInferResponse) {
			r.GetInferResponse().GetParameters()["p"].ProtoReflect().SetUnknown(field)
		}, true},
		{"a repeated field besides", func(r *inference.ModelStreamInferResponse) {
			again := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "m2")
			r.GetInferResponse().ProtoReflect().SetUnknown(append(again, field...))
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &inference.ModelStreamInferResponse{ErrorMessage: "e", InferResponse: &inference.ModelInferResponse{
				ModelName: "m", Parameters: map[string]*inference.InferParameter{"p": {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: true}}},
				Outputs: []*inference.ModelInferResponse_InferOutputTensor{{
					Name: "o", Datatype: "BYTES", Shape: []int64{1}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte("x")}},
				}},
			}}
			c.put(r)
			wantKnown(t, r, c.foreign, new(inference.ModelStreamInferResponse), func(m *wire.Message) (bool, func() (*wire.Message, error), error) {
				v, err := m.StreamResponse()
				return v.Foreign(), v.Known, err
			})
			if len(r.ProtoReflect().GetUnknown()) > 0 {
				return
			}
			wantKnown(t, r.GetInferResponse(), c.foreign, new(inference.ModelInferResponse), func(m *wire.Message) (bool, func() (*wire.Message, error), error) {
				v, err := m.InferResponse()
				return v.Foreign(), v.Known, err
			})
		})
	}
}

// wantKnown compares with protobuf.
func wantKnown(t *testing.T, in proto.Message, foreign bool, want proto.Message, scan func(*wire.Message) (bool, func() (*wire.Message, error), error)) {
	t.Helper()
	b, err := proto.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, want); err != nil {
		t.Fatal(err)
	}
	m := wire.FromBytes(b)
	defer m.Free()
	is, known, err := scan(m)
	if err != nil || is != foreign {
		t.Fatalf("foreign is %v, want %v; %v", is, foreign, err)
	}
	out, err := known()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Free()
	got := want.ProtoReflect().New().Interface()
	if err := out.Unmarshal(got); err != nil || !proto.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}
