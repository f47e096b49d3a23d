package wire_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// token is an answer of a stream as servers write it.
func token(text string) *inference.ModelStreamInferResponse {
	more := &inference.InferParameter{ParameterChoice: &inference.InferParameter_BoolParam{}}
	return &inference.ModelStreamInferResponse{InferResponse: &inference.ModelInferResponse{
		ModelName: "m", ModelVersion: "1", Id: "7", Parameters: map[string]*inference.InferParameter{"triton_final_response": more},
		Outputs:           []*inference.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
		RawOutputContents: [][]byte{[]byte(text)},
	}}
}

func encoded(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestATokenIsKnownByTheHeadOfTheLast(t *testing.T) {
	view, err := wire.FromBytes(encoded(t, token("first"))).StreamResponse()
	if err != nil {
		t.Fatal(err)
	}
	head, can := view.AppendHead([]byte("before"))
	if !can || string(head[:6]) != "before" {
		t.Fatal("has no head")
	}
	head = head[6:]
	within := func(change func(r *inference.ModelInferResponse)) []byte {
		m := token("next")
		change(m.GetInferResponse())
		return encoded(t, m)
	}
	plain := encoded(t, token("next"))
	body := func(more ...byte) []byte {
		return protowire.AppendBytes([]byte{2<<3 | 2}, append(slices.Clone(head), more...))
	}
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"other data":       {plain, true},
		"longer data":      {encoded(t, token(string(make([]byte, 300)))), true},
		"more raw outputs": {within(func(r *inference.ModelInferResponse) { r.RawOutputContents = append(r.RawOutputContents, []byte("x")) }), true},
		"no data":          {body(), true},
		"another id":       {within(func(r *inference.ModelInferResponse) { r.Id = "8" }), false},
		"the last answer": {within(func(r *inference.ModelInferResponse) {
			r.Parameters["triton_final_response"].ParameterChoice = &inference.InferParameter_BoolParam{BoolParam: true}
		}), false},
		"another shape":        {within(func(r *inference.ModelInferResponse) { r.Outputs[0].Shape[0] = 2 }), false},
		"an output more":       {within(func(r *inference.ModelInferResponse) { r.Outputs = append(r.Outputs, r.Outputs[0]) }), false},
		"an error behind":      {append(slices.Clone(plain), 1<<3|2, 1, 'e'), false},
		"an error before":      {append([]byte{1<<3 | 2, 1, 'e'}, plain...), false},
		"a second response":    {append(slices.Clone(plain), 2<<3|2, 3, 3<<3|2, 1, '8'), false},
		"an id behind":         {body(6<<3|2, 1, 'x', 3<<3|2, 1, '8'), false},
		"an id in place":       {body(3<<3|2, 1, '8'), false},
		"data cut short":       {body(6<<3|2, 9, 'x'), false},
		"data without length":  {body(6<<3 | 2), false},
		"a number for data":    {body(6<<3, 1), false},
		"a head cut short":     {protowire.AppendBytes([]byte{2<<3 | 2}, head[:len(head)-1]), false},
		"a response cut short": {plain[:len(plain)-1], false},
		"nothing":              {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, cuts := range [][]byte{nil, {1}, {3, 0, 50}} {
				m := wire.New(split(c.b, cuts))
				if got := m.HasHead(head); got != c.want {
					t.Errorf("in pieces of %v: %v", cuts, got)
				}
				m.Free()
			}
		})
	}
}

func TestHeadsThatAreNotKept(t *testing.T) {
	for name, change := range map[string]func(m *inference.ModelStreamInferResponse){
		"an error besides": func(m *inference.ModelStreamInferResponse) { m.ErrorMessage = "e" },
		"an error alone":   func(m *inference.ModelStreamInferResponse) { m.ErrorMessage, m.InferResponse = "e", nil },
		"too long":         func(m *inference.ModelStreamInferResponse) { m.InferResponse.Id = string(make([]byte, 2000)) },
		"a field behind": func(m *inference.ModelStreamInferResponse) {
			m.InferResponse.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := token("x")
			change(m)
			view, err := wire.FromBytes(encoded(t, m)).StreamResponse()
			if err != nil {
				t.Fatal(err)
			}
			if _, can := view.AppendHead(nil); can {
				t.Error("kept")
			}
		})
	}
}

func TestKnowingATokenAllocatesNothing(t *testing.T) {
	m := wire.FromBytes(encoded(t, token("x")))
	view, err := m.StreamResponse()
	if err != nil {
		t.Fatal(err)
	}
	head, _ := view.AppendHead(nil)
	if n := testing.AllocsPerRun(100, func() { m.HasHead(head) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAnAnswerIsCutInTwo: head and raw outputs are all that an answer says, or it is
// not cut.
func TestAnAnswerIsCutInTwo(t *testing.T) {
	several := token("first")
	several.InferResponse.RawOutputContents = append(several.InferResponse.RawOutputContents, nil, make([]byte, 300))
	none := token("")
	none.InferResponse.RawOutputContents = nil
	for name, m := range map[string]*inference.ModelStreamInferResponse{"a token": token("first"), "several outputs": several, "no data": none} {
		head, raws, can := wire.CutAnswer(encoded(t, m))
		var resp inference.ModelInferResponse
		if err := proto.Unmarshal(head, &resp); !can || err != nil {
			t.Fatalf("%s: %v, %v", name, can, err)
		}
		for data := range wire.RawOutputs(raws) {
			resp.RawOutputContents = append(resp.RawOutputContents, data)
		}
		if !proto.Equal(&resp, m.InferResponse) {
			t.Errorf("%s: cut into %v", name, &resp)
		}
	}
	plain := encoded(t, token("x"))
	body := plain[2:]
	like, _, _ := wire.CutAnswer(plain)
	for _, text := range []string{"", "longer than that", "x"} {
		raws, can := wire.CutLike(encoded(t, token(text)), like)
		if _, same, _ := wire.CutAnswer(encoded(t, token(text))); !can || !slices.Equal(raws, same) {
			t.Errorf("%q like another: %x, %v", text, raws, can)
		}
	}
	another := token("x")
	another.InferResponse.Id = "8"
	if raws, can := wire.CutLike(encoded(t, another), like); can {
		t.Errorf("another id is cut into %x", raws)
	}
	for name, b := range map[string][]byte{
		"nothing":                   nil,
		"an error before":           append([]byte{1<<3 | 2, 1, 'e'}, plain...),
		"an error behind":           append(slices.Clone(plain), 1<<3|2, 1, 'e'),
		"a second response":         append(slices.Clone(plain), plain...),
		"an id behind":              protowire.AppendBytes([]byte{2<<3 | 2}, append(slices.Clone(body), 3<<3|2, 1, '8')),
		"a longer tag than needed":  append([]byte{2<<3 | 2 | 0x80, 0, byte(len(body))}, body...),
		"a longer size than needed": append([]byte{2<<3 | 2, byte(len(body)) | 0x80, 0}, body...),
		"the same of the data":      {2<<3 | 2, 4, 6<<3 | 2, 1 | 0x80, 0, 'x'},
		"data cut short":            {2<<3 | 2, 3, 6<<3 | 2, 9, 'x'},
		"a response cut short":      plain[:len(plain)-1],
		"a field cut short":         {2<<3 | 2, 2, 3<<3 | 2, 9},
	} {
		if head, raws, can := wire.CutAnswer(b); can {
			t.Errorf("%s: cut into %x and %x", name, head, raws)
		}
		if raws, can := wire.CutLike(b, like); can {
			t.Errorf("%s: cut like another into %x", name, raws)
		}
	}
}
