package masking_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
)

// notAlike makes an answer say what it says in a way that no other is like: with an
// error that is empty.
func notAlike(answer []byte) []byte { return append([]byte{1<<3 | 2, 0}, answer...) }

// sameAsDecoded holds that answers of which many are like one another are kept as they
// would be each decoded by itself.
func sameAsDecoded(t *testing.T, rec *masking.Recording, answers [][]byte, ended bool) {
	t.Helper()
	var alone [][]byte
	for _, a := range answers {
		alone = append(alone, notAlike(a))
	}
	want, refusedAlone := rec.Answers(t.Context(), alone, ended, nil)
	got, refused := rec.Answers(t.Context(), answers, ended, nil)
	if (refused == nil) != (refusedAlone == nil) {
		t.Fatalf("refused %v, decoded %v", refused, refusedAlone)
	}
	for i := range got {
		for _, seed := range []string{seedEmail, seedCard, seedSSN} {
			if bytes.Contains(got[i], []byte(seed)) {
				t.Errorf("answer %d holds %q", i, seed)
			}
		}
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("answer %d is %q, decoded %q", i, got[i], want[i])
		}
	}
}

func TestAnswersAlikeAreMaskedAsEachByItself(t *testing.T) {
	seeded := []string{"hello ", "4111 1111 ", "1111 1111", " to jane.d", "oe@example.com", " 536-90-4399", " the end"}
	numbers := func(m *pb.ModelInferResponse, n int) {
		m.Outputs = append(m.Outputs, &pb.ModelInferResponse_InferOutputTensor{Name: "n", Datatype: "INT32", Shape: []int64{1, 2}})
		m.RawOutputContents = append(m.RawOutputContents, make([]byte, n))
	}
	for name, change := range map[string]func(m *pb.ModelInferResponse, i int){
		"tokens":             func(*pb.ModelInferResponse, int) {},
		"a seed for an id":   func(m *pb.ModelInferResponse, _ int) { m.Id = seedEmail },
		"a seed for a name":  func(m *pb.ModelInferResponse, _ int) { m.Outputs[0].Name = seedSSN },
		"a seed for a model": func(m *pb.ModelInferResponse, _ int) { m.ModelName = seedCard },
		"seeded parameters": func(m *pb.ModelInferResponse, _ int) {
			m.Parameters = map[string]*pb.InferParameter{seedSSN: {ParameterChoice: &pb.InferParameter_StringParam{StringParam: seedEmail}}}
		},
		"no other like it":        func(m *pb.ModelInferResponse, i int) { m.Id = fmt.Sprint(seedEmail, " ", i) },
		"more kinds than noted":   func(m *pb.ModelInferResponse, i int) { m.Id = strings.Repeat("x", i%12) },
		"two elements":            func(m *pb.ModelInferResponse, _ int) { m.RawOutputContents[0] = bytesTensor("4111 1111", seedSSN) },
		"no element":              func(m *pb.ModelInferResponse, _ int) { m.RawOutputContents[0] = nil },
		"fewer elements now":      func(m *pb.ModelInferResponse, i int) { m.RawOutputContents[0] = bytesTensor(seeded[:i%4]...) },
		"an element cut short":    func(m *pb.ModelInferResponse, _ int) { m.RawOutputContents[0] = []byte{9, 0, 0, 0, 'x'} },
		"a length cut short":      func(m *pb.ModelInferResponse, _ int) { m.RawOutputContents[0] = []byte{9, 0} },
		"a length beyond all":     func(m *pb.ModelInferResponse, _ int) { m.RawOutputContents[0] = []byte{255, 255, 255, 255, 'x'} },
		"numbers":                 func(m *pb.ModelInferResponse, _ int) { numbers(m, 8) },
		"numbers too short":       func(m *pb.ModelInferResponse, _ int) { numbers(m, 4) },
		"text said to be numbers": func(m *pb.ModelInferResponse, _ int) { m.Outputs[0].Datatype = "FP32" },
		"text of no datatype":     func(m *pb.ModelInferResponse, _ int) { m.Outputs[0].Datatype = "TEXT" },
		"data of no output": func(m *pb.ModelInferResponse, _ int) {
			m.RawOutputContents = append(m.RawOutputContents, bytesTensor(seedSSN))
		},
		"an output without data": func(m *pb.ModelInferResponse, _ int) { m.Outputs = append(m.Outputs, m.Outputs[0]) },
		"an output in typed data": func(m *pb.ModelInferResponse, _ int) {
			output(m, typed, "more", seedEmail)
			m.RawOutputContents = append(m.RawOutputContents, nil)
		},
		"two outputs":           func(m *pb.ModelInferResponse, _ int) { output(m, raw, "more", seedEmail) },
		"text in another form":  func(m *pb.ModelInferResponse, _ int) { output(m, raw, "token_ids", "1 2 3") },
		"an output of one name": func(m *pb.ModelInferResponse, _ int) { output(m, raw, "text_output", "8811") },
		"an empty last one": func(m *pb.ModelInferResponse, i int) {
			if i == len(seeded)-1 {
				m.Outputs, m.RawOutputContents = nil, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var answers [][]byte
			for i, text := range seeded {
				m := output(&pb.ModelInferResponse{ModelName: "m", Id: "1"}, raw, "text_output", text)
				change(m, i)
				answers = append(answers, inBytes(t, &pb.ModelStreamInferResponse{InferResponse: m}))
			}
			for _, ended := range []bool{true, false} {
				sameAsDecoded(t, recording(t, redacts(nil)), answers, ended)
				sameAsDecoded(t, recording(t, redacts(func(r *masking.Rule) { r.Format = masking.JSON })), answers, ended)
			}
		})
	}
}

// TestAHeadIsMaskedToTheLastByte: fields that nobody knows, and repeated ones, do not
// go into the record with the heads of tokens.
func TestAHeadIsMaskedToTheLastByte(t *testing.T) {
	for name, more := range map[string][]byte{
		"an unknown field":  protowire.AppendString(protowire.AppendTag(nil, 99, protowire.BytesType), seedEmail),
		"a second id":       protowire.AppendString(protowire.AppendTag(nil, 3, protowire.BytesType), seedCard),
		"a field of a type": protowire.AppendString(protowire.AppendTag(nil, 5, protowire.BytesType), "\x0a\x14"+seedEmail),
		"an unknown group":  append(protowire.AppendString(protowire.AppendTag(protowire.AppendTag(nil, 98, protowire.StartGroupType), 1, protowire.BytesType), seedSSN), protowire.AppendTag(nil, 98, protowire.EndGroupType)...),
	} {
		t.Run(name, func(t *testing.T) {
			var answers [][]byte
			for _, text := range []string{"a", "b"} {
				m := output(&pb.ModelInferResponse{Id: "1"}, raw, "text_output", text)
				data := m.RawOutputContents[0]
				m.RawOutputContents = nil
				body := append(inBytes(t, m), more...)
				body = protowire.AppendBytes(protowire.AppendTag(body, 6, protowire.BytesType), data)
				answers = append(answers, protowire.AppendBytes([]byte{2<<3 | 2}, body))
			}
			sameAsDecoded(t, recording(t, redacts(nil)), answers, true)
		})
	}
}

// TestAnyAnswersAlike tries texts and cuts at random.
func TestAnyAnswersAlike(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	parts := []string{" ", "-", seedEmail, seedCard, seedSSN, "jane", "@", "4111", "1111", "é", "\\", "\"", "{", "１"}
	for range 300 {
		var answers [][]byte
		for range rng.IntN(20) {
			text := ""
			for range rng.IntN(4) {
				text += parts[rng.IntN(len(parts))]
			}
			text = text[:rng.IntN(len(text)+1)]
			m := output(&pb.ModelInferResponse{Id: strings.Repeat("i", rng.IntN(3))}, raw, "text_output", text)
			answers = append(answers, inBytes(t, &pb.ModelStreamInferResponse{InferResponse: m}))
		}
		same := recording(t, redacts(nil))
		var alone [][]byte
		for _, a := range answers {
			alone = append(alone, notAlike(a))
		}
		want, _ := same.Answers(t.Context(), alone, true, nil)
		got, refused := same.Answers(t.Context(), answers, true, nil)
		if refused != nil {
			t.Fatal(refused)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("answer %d of %q is %q, decoded %q", i, answers, got[i], want[i])
			}
		}
	}
}
