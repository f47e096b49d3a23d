package masking_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

// of is an answer with one output, as given.
func of(out *pb.ModelInferResponse_InferOutputTensor, raw ...[]byte) *pb.ModelInferResponse {
	return &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{out}, RawOutputContents: raw}
}

func TestWhatAnAnswerHoldsBesides(t *testing.T) {
	const mail = "a@b.org"
	text := []masking.Rule{redacts(nil)}
	named := []masking.Rule{redacts(func(r *masking.Rule) { r.Tensors = []string{"text"} })}
	add := output
	tests := []struct {
		name     string
		rules    []masking.Rule
		in, want *pb.ModelInferResponse // want nil: as it was
	}{
		{"numbers under a pattern", text, numeric(wire.FP32, tensorOf(wire.FP32, 1), 1), nil},
		{
			"typed text in an output of numbers", text,
			of(&pb.ModelInferResponse_InferOutputTensor{Name: "n", Datatype: "FP32", Contents: &pb.InferTensorContents{Fp32Contents: []float32{1}, BytesContents: [][]byte{[]byte(mail)}}}),
			of(&pb.ModelInferResponse_InferOutputTensor{Name: "n", Datatype: "FP32", Contents: &pb.InferTensorContents{Fp32Contents: []float32{1}, BytesContents: [][]byte{[]byte("[EMAIL]")}}}),
		},
		{
			"raw and typed text at once", text,
			of(&pb.ModelInferResponse_InferOutputTensor{Name: "n", Datatype: "BYTES", Contents: &pb.InferTensorContents{BytesContents: [][]byte{[]byte(mail)}}}, bytesTensor(mail)),
			of(&pb.ModelInferResponse_InferOutputTensor{Name: "n", Datatype: "BYTES", Contents: &pb.InferTensorContents{BytesContents: [][]byte{[]byte("[EMAIL]")}}}, bytesTensor("[EMAIL]")),
		},
		{
			"parameters of the answer", named,
			&pb.ModelInferResponse{Parameters: map[string]*pb.InferParameter{"note": stringParam("to " + mail), "n": boolParam(true), "clean": stringParam("clean")}},
			&pb.ModelInferResponse{Parameters: map[string]*pb.InferParameter{"note": stringParam("to [EMAIL]"), "n": boolParam(true), "clean": stringParam("clean")}},
		},
		{
			"parameters of an output", named,
			of(&pb.ModelInferResponse_InferOutputTensor{Name: "n", Datatype: "FP32", Parameters: map[string]*pb.InferParameter{"unit": stringParam(mail)}}),
			of(&pb.ModelInferResponse_InferOutputTensor{Name: "n", Datatype: "FP32", Parameters: map[string]*pb.InferParameter{"unit": stringParam("[EMAIL]")}}),
		},
		{"a classification's labels", named, add(&pb.ModelInferResponse{}, raw, "x", "0.900000:3:"+mail, "-1e-05:0:cat", "inf:1"), add(&pb.ModelInferResponse{}, raw, "x", "0.900000:3:[EMAIL]", "-1e-05:0:cat", "inf:1")},
		{"a classification's labels, typed", named, add(&pb.ModelInferResponse{}, typed, "x", "1:0:"+mail), add(&pb.ModelInferResponse{}, typed, "x", "1:0:[EMAIL]")},
		{"other text that no rule is about", named, add(&pb.ModelInferResponse{}, raw, "x", mail, "1:0:"+mail), nil},
		{"what looks like one in part", named, add(&pb.ModelInferResponse{}, raw, "x", "1:x:"+mail), nil},

		{"log probabilities", text, add(add(&pb.ModelInferResponse{}, raw, "text", "x"), raw, "logprobs", `[{"1":{"decoded_token":"x"}}]`), add(&pb.ModelInferResponse{}, raw, "text", "x")},
		{"token ids", named, of(&pb.ModelInferResponse_InferOutputTensor{Name: "output_ids", Datatype: "INT32", Shape: []int64{1}}, []byte{1, 0, 0, 0}), &pb.ModelInferResponse{}},
		{"log probabilities that a rule names", []masking.Rule{redacts(func(r *masking.Rule) { r.Tensors = []string{"logprobs"} })}, add(&pb.ModelInferResponse{}, raw, "logprobs", mail), add(&pb.ModelInferResponse{}, raw, "logprobs", "[EMAIL]")},
		{"log probabilities of numbers' rules", []masking.Rule{numbersRule(action("zero"))}, add(&pb.ModelInferResponse{}, raw, "logprobs", mail), nil},
		{"no outputs", text, &pb.ModelInferResponse{ModelName: "m"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			got, refused := unary(t, plan(t, tt.rules...), tt.in, nil)
			if refused != nil {
				t.Fatal(refused)
			}
			if tt.want == nil && got != nil || tt.want != nil && !proto.Equal(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}

func TestHostileAnswers(t *testing.T) {
	text := []masking.Rule{redacts(nil)}
	named := []masking.Rule{redacts(func(r *masking.Rule) { r.Tensors = []string{"n"} })}
	bytesOut := &pb.ModelInferResponse_InferOutputTensor{Name: "n", Datatype: "BYTES", Shape: []int64{1}}
	tests := []struct {
		name  string
		rules []masking.Rule
		in    *pb.ModelInferResponse
		want  string
	}{
		{"a prefix that lies", text, of(bytesOut, []byte{200, 0, 0, 0, 'a'}), "length prefix is longer"},
		{"a prefix as long as can be", text, of(bytesOut, []byte{255, 255, 255, 255}), "length prefix is longer"},
		{"half a prefix", text, of(bytesOut, append(bytesTensor("a"), 1, 0)), "within an element's length prefix"},
		{"more raw contents than outputs", text, of(bytesOut, bytesTensor("a"), bytesTensor("jane@example.com")), "1 outputs and 2 raw contents"},
		{"fewer raw contents than outputs", text, &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{bytesOut, bytesOut}, RawOutputContents: [][]byte{bytesTensor("a")}}, "2 outputs and 1 raw contents"},
		{"raw contents and no outputs", text, &pb.ModelInferResponse{RawOutputContents: [][]byte{bytesTensor("a")}}, "0 outputs and 1 raw contents"},
		{"a datatype nobody knows", text, of(&pb.ModelInferResponse_InferOutputTensor{Name: "n", Datatype: "STRING"}, []byte("jane@example.com")), "datatype that is not known"},
		{"no datatype", text, of(&pb.ModelInferResponse_InferOutputTensor{Name: "n"}, []byte("jane@example.com")), "datatype that is not known"},
		{"text named that is numbers", named, of(&pb.ModelInferResponse_InferOutputTensor{Name: "n", Datatype: "FP32"}, []byte{0, 0, 0, 0}), "is of datatype FP32"},
		{"text in shared memory", text, of(&pb.ModelInferResponse_InferOutputTensor{Name: "n", Datatype: "BYTES", Parameters: map[string]*pb.InferParameter{"shared_memory_region": stringParam("r")}}), "shared memory"},
		{"formats that differ", []masking.Rule{asJSON(nil), redacts(func(r *masking.Rule) { r.Name, r.Format = "b", masking.Text })}, of(bytesOut, bytesTensor("a")), "read it as"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			_, refused := unary(t, plan(t, tt.rules...), tt.in, nil)
			wantRefusal(t, refused, access.PermissionDenied, tt.want)
			got, refused := sent(t, plan(t, tt.rules...).Answers(masking.Facts{}), true, answer(true, tt.in))
			wantRefusal(t, refused, access.PermissionDenied, tt.want)
			if len(got) > 0 {
				t.Errorf("%v went out", got)
			}
		})
	}
}

// TestUnreadableAnswers shows that what does not parse does not pass, in unary
// answers and in streams.
func TestUnreadableAnswers(t *testing.T) {
	checkBuffers(t)
	p := plan(t, redacts(nil))
	m := wire.New(pooled([]byte{0x2a, 0x7f, 1}, 10))
	defer m.Free()
	_, refused := p.Unary(t.Context(), m, nil)
	wantRefusal(t, refused, access.PermissionDenied, "can't be read")
	s := wire.New(pooled([]byte{0x12, 0x7f, 1}, 10))
	defer s.Free()
	_, _, refused = p.Answers(decoupled).Mask(t.Context(), s)
	wantRefusal(t, refused, access.PermissionDenied, "can't be read")
}

// TestAmbiguousAnswers repeats what is singular: what comes out says what
// protobuf reads, masked, and hides nothing.
func TestAmbiguousAnswers(t *testing.T) {
	checkBuffers(t)
	p := plan(t, redacts(nil))
	one, _ := proto.Marshal(output(&pb.ModelInferResponse{ModelName: "jane@example.com"}, raw, "out", "jane@example.com"))
	two, _ := proto.Marshal(&pb.ModelInferResponse{ModelName: "m", Parameters: map[string]*pb.InferParameter{"a": stringParam("jane@example.com")}})
	three, _ := proto.Marshal(&pb.ModelInferResponse{Parameters: map[string]*pb.InferParameter{"a": stringParam("bob@example.com")}})
	m := wire.New(pooled(slices.Concat(one, two, three), 7))
	defer m.Free()
	out, refused := p.Unary(t.Context(), m, nil)
	if refused != nil {
		t.Fatal(refused)
	}
	defer out.Free()
	b := out.Buffers().Materialize()
	if bytes.Contains(b, []byte("example.com")) {
		t.Errorf("%q", b)
	}
	// The same as a stream's answer, its infer_response in three parts.
	var stream []byte
	for _, part := range [][]byte{one, two, three} {
		stream = protowire.AppendBytes(protowire.AppendTag(stream, 2, protowire.BytesType), part)
	}
	sm := wire.New(pooled(stream, 7))
	defer sm.Free()
	before, masked, refused := p.Answers(masking.Facts{}).Mask(t.Context(), sm)
	if refused != nil || before != nil {
		t.Fatal(refused)
	}
	defer masked.Free()
	if b := masked.Buffers().Materialize(); bytes.Contains(b, []byte("example.com")) {
		t.Errorf("%q", b)
	}
}

// TestCleanAmbiguousAnswers get their canonical form and nothing else.
func TestCleanAmbiguousAnswers(t *testing.T) {
	checkBuffers(t)
	one, _ := proto.Marshal(&pb.ModelInferResponse{ModelName: "other"})
	two, _ := proto.Marshal(output(&pb.ModelInferResponse{ModelName: "m"}, raw, "out", "clean"))
	m := wire.New(pooled(append(one, two...), 7))
	defer m.Free()
	out, refused := plan(t, redacts(nil)).Unary(t.Context(), m, nil)
	if refused != nil || out == m {
		t.Fatalf("%v, or the message itself", refused)
	}
	defer out.Free()
	if b := out.Buffers().Materialize(); !bytes.Equal(b, two) {
		t.Errorf("%q", b)
	}
}

// TestManyElements bounds what a tensor of nothing but elements costs.
func TestManyElements(t *testing.T) {
	checkBuffers(t)
	data := make([]byte, 4<<20) // a million empty elements
	in := of(&pb.ModelInferResponse_InferOutputTensor{Name: "n", Datatype: "BYTES", Shape: []int64{1 << 20}}, data)
	p := plan(t, redacts(nil))
	m := message(t, in, 16<<10)
	defer m.Free()
	var out *wire.Message
	var refused *access.Error
	allocated := testing.AllocsPerRun(1, func() { out, refused = p.Unary(t.Context(), m, nil) })
	if refused != nil || out != m || allocated > 100 {
		t.Errorf("%v, changed: %v, %v allocations", refused, out != m, allocated)
	}
	last := append(data[:len(data)-4:len(data)-4], bytesTensor("a@b.org")...)
	in.RawOutputContents[0] = last
	got, refused := unary(t, p, in, nil)
	if refused != nil || !bytes.HasSuffix(got.GetRawOutputContents()[0], []byte("\x07\x00\x00\x00[EMAIL]")) {
		t.Errorf("%v, or not masked", refused)
	}
}

// TestLargeTextIsShared masks one span in a text of a MiB, and copies little.
func TestLargeTextIsShared(t *testing.T) {
	checkBuffers(t)
	text := strings.Repeat("a clean line of text\n", 50_000) + "a@b.org"
	m := message(t, output(&pb.ModelInferResponse{}, raw, "out", text), 16<<10)
	defer m.Free()
	before := pool.Gets()
	out, refused := plan(t, redacts(nil)).Unary(t.Context(), m, nil)
	if refused != nil {
		t.Fatal(refused)
	}
	defer out.Free()
	if n := pool.Gets() - before; n > 3 {
		t.Errorf("%d buffers were made for one mail address", n)
	}
	b := out.Buffers().Materialize()
	if !bytes.HasSuffix(b, []byte("line of text\n[EMAIL]")) || bytes.Contains(b, []byte("b.org")) {
		t.Errorf("ends in %q", b[len(b)-30:])
	}
	if size := binary.LittleEndian.Uint32(b[len(b)-len(text)-4:]); int(size) != len(text) {
		t.Errorf("its length is %d, not %d", size, len(text))
	}
}

// TestErrorsAreMasked masks an error's text, in a stream and for a unary call.
func TestErrorsAreMasked(t *testing.T) {
	checkBuffers(t)
	p := plan(t, redacts(func(r *masking.Rule) { r.Tensors = []string{"only this"} }))
	words := "can't answer jane.doe@example.com: 'no such user'"
	want := "can't answer [EMAIL]: 'no such user'"
	got, refused := sent(t, p.Answers(decoupled), false, &pb.ModelStreamInferResponse{ErrorMessage: words})
	if refused != nil || len(got) != 1 || got[0].GetErrorMessage() != want {
		t.Errorf("got %v, %v", got, refused)
	}
	var c masking.Counts
	if text := p.Text(t.Context(), words, &c); text != want || c.String() != "EMAIL=1" {
		t.Errorf("got %q, %s", text, c.String())
	}
	blocks := plan(t, redacts(func(r *masking.Rule) { r.Action = action("block") }))
	if text := blocks.Text(t.Context(), words, nil); strings.Contains(text, "jane") || strings.Contains(text, "user") {
		t.Errorf("got %q", text)
	}
	if text := plan(t, numbersRule(action("zero"))).Text(t.Context(), words, nil); text != words {
		t.Errorf("got %q", text)
	}
}

// TestBlock refuses a unary answer.
func TestBlock(t *testing.T) {
	checkBuffers(t)
	p := plan(t, redacts(func(r *masking.Rule) { r.Action = action("block") }))
	var c masking.Counts
	_, refused := unary(t, p, output(&pb.ModelInferResponse{}, raw, "out", "4111 1111 1111 1111"), &c)
	wantRefusal(t, refused, access.PermissionDenied, "withheld")
	if c.Masked["CARD"] != 1 {
		t.Errorf("counted %v", c.Masked)
	}
	for _, text := range []string{`[4111111111111111]`, `["4111 1111 1111 1111"]`} {
		_, refused := unary(t, plan(t, asJSON(func(r *masking.Rule) { r.Action = action("block") })), output(&pb.ModelInferResponse{}, raw, "out", text), nil)
		wantRefusal(t, refused, access.PermissionDenied, "withheld")
	}
}
