package wire_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// script makes edits of a message in two ways: as ranges of its bytes, and in
// the decoded message.
type script struct {
	r     *rand.Rand
	edits []wire.Edit
}

// splice changes part of a value: what it becomes is returned.
func (s *script) splice(at wire.Span, value []byte) []byte {
	off, _ := at.Range()
	if s.r.IntN(3) == 0 || off == 0 { // or there is no such field
		return value
	}
	from := s.r.IntN(len(value) + 1)
	to := from + s.r.IntN(len(value)-from+1)
	fresh := bytes.Repeat([]byte{'x'}, s.r.IntN(3)*s.r.IntN(100))
	s.edits = append(s.edits, wire.Edit{Start: off + from, End: off + to, New: fresh})
	return slices.Concat(value[:from], fresh, value[to:])
}

func (s *script) cut(at wire.Range, fresh []byte) {
	s.edits = append(s.edits, wire.Edit{Start: at.Start, End: at.End, New: fresh})
}

// response edits a response and the view of it.
func (s *script) response(v wire.InferResponse, r *inference.ModelInferResponse) {
	first := r.GetOutputs()
	if s.r.IntN(4) == 0 { // a field at the beginning of the message
		at := v.Range().Start
		more := &inference.ModelInferResponse_InferOutputTensor{Name: "more", Datatype: "BYTES"}
		b, _ := proto.Marshal(more)
		s.cut(wire.Range{Start: at, End: at}, protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), b))
		first = append([]*inference.ModelInferResponse_InferOutputTensor{more}, first...)
	}
	r.Id = string(s.splice(v.ID(), []byte(r.GetId())))
	s.parameters(v.Parameters(), r.GetParameters())
	var outputs []*inference.ModelInferResponse_InferOutputTensor
	if len(first) > len(r.GetOutputs()) {
		outputs = first[:1]
	}
	i := 0
	for at, out := range v.OutputFields() {
		o := r.GetOutputs()[i]
		i++
		if s.r.IntN(4) == 0 {
			s.cut(at, nil)
			continue
		}
		outputs = append(outputs, o)
		o.Name = string(s.splice(out.Name(), []byte(o.GetName())))
		s.parameters(out.Parameters(), o.GetParameters())
		k := 0
		for elem := range out.Contents().Bytes() {
			o.GetContents().BytesContents[k] = s.splice(elem, o.GetContents().GetBytesContents()[k])
			k++
		}
	}
	r.Outputs = outputs
	var raws [][]byte
	i = 0
	for at, raw := range v.RawFields() {
		if s.r.IntN(4) == 0 {
			s.cut(at, nil)
		} else {
			raws = append(raws, s.splice(raw, r.GetRawOutputContents()[i]))
		}
		i++
	}
	r.RawOutputContents = raws
}

func (s *script) parameters(v wire.Parameters, params map[string]*inference.InferParameter) {
	for key, value := range v.All() {
		if text, ok := value.Text(); ok {
			fresh := s.splice(text, text.Bytes())
			params[key.String()].ParameterChoice = &inference.InferParameter_StringParam{StringParam: string(fresh)}
		}
	}
}

// richResponse is a response of all that can be edited.
func richResponse(r *rand.Rand) *inference.ModelInferResponse {
	text := func() string { return string(bytes.Repeat([]byte{'t'}, r.IntN(3)*r.IntN(150))) }
	params := func() map[string]*inference.InferParameter {
		m := map[string]*inference.InferParameter{"n": {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: 5}}}
		for i := range r.IntN(3) {
			m[string(rune('a'+i))] = &inference.InferParameter{ParameterChoice: &inference.InferParameter_StringParam{StringParam: text()}}
		}
		return m
	}
	m := &inference.ModelInferResponse{ModelName: "m", Id: text(), Parameters: params()}
	for range r.IntN(4) {
		out := &inference.ModelInferResponse_InferOutputTensor{Name: text(), Datatype: "BYTES", Shape: []int64{3, 1 << 40}, Parameters: params()}
		if r.IntN(2) == 0 {
			out.Contents = &inference.InferTensorContents{Fp32Contents: []float32{1}}
			for range r.IntN(4) {
				out.Contents.BytesContents = append(out.Contents.BytesContents, []byte(text()))
			}
		}
		m.Outputs = append(m.Outputs, out)
		m.RawOutputContents = append(m.RawOutputContents, []byte(text()))
	}
	return m
}

// checkRewrite edits one message in both ways.
func checkRewrite(t *testing.T, seed uint64, size int) {
	t.Helper()
	s := &script{r: rand.New(rand.NewPCG(seed, 7))}
	want := richResponse(s.r)
	stream := &inference.ModelStreamInferResponse{ErrorMessage: "words", InferResponse: want}
	m := pooled(encode(t, stream), size)
	view, err := m.StreamResponse()
	if err != nil {
		t.Fatal(err)
	}
	s.response(view.Response(), want)
	slices.SortStableFunc(s.edits, func(a, b wire.Edit) int { return a.Start - b.Start })
	out, err := m.Rewrite(s.edits)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	m.Free()
	got := new(inference.ModelStreamInferResponse)
	if err := out.Unmarshal(got); err != nil {
		t.Fatalf("seed %d: %v: %v", seed, err, s.edits)
	}
	out.Free()
	if !proto.Equal(got, stream) {
		t.Fatalf("seed %d:\ngot  %v\nwant %v", seed, got, stream)
	}
}

func TestRewriteIsEditingTheDecodedMessage(t *testing.T) {
	checkBuffers(t)
	for seed := range uint64(2000) {
		checkRewrite(t, seed, 1+int(seed%300))
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add(uint64(1), 10)
	f.Fuzz(func(t *testing.T, seed uint64, size int) { checkRewrite(t, seed, 1+max(0, size%1000)) })
}

// FuzzRewriteAnywhere makes one edit at any place: Rewrite refuses it, or what
// comes out still is one message whose fields all end where they should.
func FuzzRewriteAnywhere(f *testing.F) {
	whole := encode(f, &inference.ModelStreamInferResponse{InferResponse: fullResponse()})
	for at := range len(whole) {
		f.Add(at, 0, []byte("x"))
		f.Add(at, 3, []byte{})
	}
	f.Fuzz(func(t *testing.T, start, length int, fresh []byte) { rewriteAnywhere(t, whole, start, length, fresh) })
}

func TestRewriteAnywhere(t *testing.T) {
	whole := encode(t, &inference.ModelStreamInferResponse{InferResponse: fullResponse()})
	made := 0
	for start := range len(whole) + 1 {
		for length := range len(whole) - start + 1 {
			if rewriteAnywhere(t, whole, start, length, nil) {
				made++
			}
		}
	}
	if made < 200 {
		t.Errorf("%d edits were made", made)
	}
}

// rewriteAnywhere tells whether the edit was made. Only its own bytes may make
// the outcome invalid, so nothing is inserted where fields stand.
func rewriteAnywhere(t *testing.T, whole []byte, start, length int, fresh []byte) bool {
	t.Helper()
	m := wire.FromBytes(whole)
	if _, err := m.StreamResponse(); err != nil {
		t.Fatal(err)
	}
	out, err := m.Rewrite([]wire.Edit{{Start: start, End: start + length, New: fresh}})
	if err != nil {
		return false
	}
	defer out.Free()
	if out.Len() < len(whole)-length || len(fresh) > 0 {
		return true
	}
	if err := out.Unmarshal(new(inference.ModelStreamInferResponse)); err != nil {
		// Cutting a packed value or a string in the middle of an element is the caller's fault.
		if shallow := out.Shallow(); shallow != nil {
			t.Fatalf("[%d,%d): %v", start, start+length, shallow)
		}
	}
	return true
}

func TestRewriteRefuses(t *testing.T) {
	checkBuffers(t)
	b := encode(t, fullResponse())
	twice := append(slices.Clone(b), encode(t, &inference.ModelInferResponse{Id: "again"})...)
	first := wire.FromBytes(b)
	view, err := first.InferResponse()
	if err != nil {
		t.Fatal(err)
	}
	name, _ := view.ModelName().Range()
	tests := []struct {
		name    string
		message []byte
		scan    bool
		edits   []wire.Edit
	}{
		{"not scanned", b, false, nil},
		{"ambiguous", twice, true, nil},
		{"backwards", b, true, []wire.Edit{{Start: 5, End: 4}}},
		{"beyond", b, true, []wire.Edit{{Start: 0, End: len(b) + 1}}},
		{"out of order", b, true, []wire.Edit{{Start: name + 1, End: name + 2}, {Start: name, End: name}}},
		{"in a tag", b, true, []wire.Edit{{Start: 0, End: 1}}},
		{"in a length", b, true, []wire.Edit{{Start: 1, End: 2}}},
		{"from one value into the next", b, true, []wire.Edit{{Start: name + 2, End: name + 9}}},
		{"one field and a half", b, true, []wire.Edit{{Start: 0, End: name + 7}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := pooled(tt.message, 50)
			defer m.Free()
			if tt.scan {
				if _, err := m.InferResponse(); err != nil {
					t.Fatal(err)
				}
			}
			if out, err := m.Rewrite(tt.edits); err == nil {
				out.Free()
				t.Error("accepted")
			}
		})
	}
}

// TestRewriteShares edits the length of an element before a MiB of them.
func TestRewriteShares(t *testing.T) {
	checkBuffers(t)
	a := budget(t, 0, 0)
	resp := &inference.ModelInferResponse{ModelName: "m", RawOutputContents: [][]byte{payload(1 << 20)}}
	m := pooled(encode(t, &inference.ModelStreamInferResponse{InferResponse: resp}), 16<<10)
	if err := m.Charge(a); err != nil {
		t.Fatal(err)
	}
	view, err := m.StreamResponse()
	if err != nil {
		t.Fatal(err)
	}
	var start int
	for raw := range view.Response().Raw() {
		start, _ = raw.Range()
	}
	before := pool.Gets()
	out, err := m.Rewrite([]wire.Edit{{Start: start, End: start + 4, New: []byte("12345")}})
	if err != nil {
		t.Fatal(err)
	}
	if n := pool.Gets() - before; n > 2 {
		t.Errorf("%d buffers were made for five bytes", n)
	}
	m.Free()
	if a.Held() < 1<<20 {
		t.Errorf("%d bytes are held while their buffers are", a.Held())
	}
	resp.RawOutputContents[0] = append([]byte("12345"), resp.GetRawOutputContents()[0][4:]...)
	got := new(inference.ModelStreamInferResponse)
	if err := out.Unmarshal(got); err != nil || !proto.Equal(got.GetInferResponse(), resp) {
		t.Errorf("%v, or another message", err)
	}
	out.Free()
}

func TestRewriteOverBudget(t *testing.T) {
	checkBuffers(t)
	a := budget(t, 1<<20, 1<<20)
	m := pooled(encode(t, &inference.ModelInferResponse{RawOutputContents: [][]byte{make([]byte, 1<<20-100)}}), 16<<10)
	defer m.Free()
	if err := m.Charge(a); err != nil {
		t.Fatal(err)
	}
	if _, err := m.InferResponse(); err != nil {
		t.Fatal(err)
	}
	_, err := m.Rewrite([]wire.Edit{{Start: 0, End: 0, New: []byte{0x7a, 0}}})
	wantExhausted(t, err, "your limit")
}
