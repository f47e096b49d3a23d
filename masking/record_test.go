package masking_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	seedEmail = "jane.doe@example.com"
	seedCard  = "4111 1111 1111 1111"
	seedSSN   = "536-90-4399"
)

var recordSeeds = []string{seedEmail, seedCard, seedSSN, "jane.doe", "4111 1111", "536-90"}

// recording is how calls of model "m" are masked for the record.
func recording(t testing.TB, rules ...masking.Rule) *masking.Recording {
	t.Helper()
	return compile(t, masking.Document{Masking: rules}, masking.Options{}).Record("m")
}

func inBytes(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// clean fails where a seeded value, or the telling part of one, is in b.
func clean(t testing.TB, what string, b []byte) {
	t.Helper()
	for _, seed := range recordSeeds {
		if bytes.Contains(b, []byte(seed)) {
			t.Errorf("%s holds %q: %q", what, seed, b)
		}
	}
}

func TestRecordingTakesNoRuleAway(t *testing.T) {
	all := "to " + seedEmail + ", " + seedCard + ", " + seedSSN + "."
	tests := []struct {
		name string
		rule func(r *masking.Rule)
	}{
		{"as written", nil},
		{"groups that are excepted", func(r *masking.Rule) { r.Except = []string{"pii-readers"} }},
		{"rules that only observe", func(r *masking.Rule) { r.Observe = true }},
		{"other outputs", func(r *masking.Rule) { r.Tensors = []string{"other"} }},
		{"other elements", func(r *masking.Rule) { r.Index = "7-" }},
		{"JSON, at other places", func(r *masking.Rule) { r.Format, r.JSONPath = masking.JSON, masking.Paths{"$.no.such"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := recording(t, redacts(tt.rule))
			resp := output(output(&pb.ModelInferResponse{ModelName: "m"}, raw, "a", all, "x"), raw, "b", all)
			got, refused := rec.Answer(t.Context(), inBytes(t, resp), nil)
			if refused != nil {
				t.Fatal(refused)
			}
			clean(t, "the answer", got)
			read := &pb.ModelInferResponse{}
			if err := proto.Unmarshal(got, read); err != nil {
				t.Fatal(err)
			}
			want := []string{"to [EMAIL], [CARD], [SSN].", "x"}
			if list := elementsOf(t, read, 0); !slices.Equal(list, want) {
				t.Errorf("elements %q, want %q", list, want)
			}
		})
	}
}

// TestRecordingDecidesAsForCallers: of two rules about an entity the one that
// enforces it says what is written, and one that only observes blocks nothing.
func TestRecordingDecidesAsForCallers(t *testing.T) {
	watch := redacts(func(r *masking.Rule) {
		r.Name, r.Observe, r.Action = "watch", true, masking.Action{Partial: &masking.Partial{KeepLast: 4}}
	})
	block := redacts(func(r *masking.Rule) { r.Name, r.Observe, r.Action = "block", true, action("block") })
	for name, rules := range map[string][]masking.Rule{"the one that enforces": {watch, redacts(nil)}, "one that would block": {block}} {
		text, refused := recording(t, rules...).Text(t.Context(), "pay with "+seedCard, nil)
		if refused != nil || text != "pay with [CARD]" {
			t.Errorf("%s: %q, %v", name, text, refused)
		}
	}
}

func TestRecordingNobodyAsked(t *testing.T) {
	var none *masking.Policy
	rec := none.Record("m")
	message := []byte("anything")
	got, refused := rec.Request(t.Context(), message, nil)
	if rec != nil || refused != nil || !bytes.Equal(got, message) {
		t.Errorf("got %q, %v", got, refused)
	}
	other := recording(t, redacts(func(r *masking.Rule) { r.Models = []string{"other"} }))
	if other != nil {
		t.Error("a rule about another model counts")
	}
}

func TestRecordingRequest(t *testing.T) {
	text := func(s string) *pb.InferParameter {
		return &pb.InferParameter{ParameterChoice: &pb.InferParameter_StringParam{StringParam: s}}
	}
	req := &pb.ModelInferRequest{
		ModelName: "m", Id: "for " + seedEmail,
		Parameters: map[string]*pb.InferParameter{"note": text(seedCard), seedEmail: text("x")},
		Inputs: []*pb.ModelInferRequest_InferInputTensor{
			{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}, Parameters: map[string]*pb.InferParameter{"p": text(seedSSN)}},
			{Name: "shared", Datatype: "BYTES", Shape: []int64{1}, Parameters: map[string]*pb.InferParameter{"shared_memory_region": text("r")}},
			{Name: "input_ids", Datatype: "INT32", Shape: []int64{1}},
			{Name: "numbers", Datatype: "INT32", Shape: []int64{1}, Contents: &pb.InferTensorContents{BytesContents: [][]byte{[]byte(seedCard)}}},
			{Name: seedEmail, Datatype: "BYTES", Shape: []int64{1}},
		},
		RawInputContents: [][]byte{bytesTensor("I am " + seedEmail), {7, 0, 0, 0}, {1, 2, 3, 4}, bytesTensor(seedSSN)},
	}
	rec := recording(t, redacts(func(r *masking.Rule) { r.Except = []string{"everybody"} }))
	found := map[string]string{}
	got, refused := rec.Request(t.Context(), inBytes(t, req), func(entity string, value []byte) { found[entity] += string(value) + ";" })
	if refused != nil {
		t.Fatal(refused)
	}
	clean(t, "the request", got)
	read := &pb.ModelInferRequest{}
	if err := proto.Unmarshal(got, read); err != nil {
		t.Fatal(err)
	}
	if n := len(read.Inputs); n != 4 {
		t.Fatalf("%d inputs, want 4: without input_ids", n)
	}
	want := [][]byte{bytesTensor("I am [EMAIL]"), {1, 2, 3, 4}, bytesTensor("[SSN]")}
	if !slices.EqualFunc(read.RawInputContents, want, bytes.Equal) {
		t.Errorf("raw data %q, want %q", read.RawInputContents, want)
	}
	if read.Id != "for [EMAIL]" || read.Parameters["[EMAIL]"] == nil || read.Inputs[3].Name != "[EMAIL]" {
		t.Errorf("id, key or name: %v", read)
	}
	if !strings.Contains(found["EMAIL"], seedEmail) || !strings.Contains(found["CARD"], seedCard) || !strings.Contains(found["SSN"], seedSSN) {
		t.Errorf("found %v", found)
	}
}

func TestRecordingRefuses(t *testing.T) {
	resp := func(change func(r *pb.ModelInferResponse)) *pb.ModelInferResponse {
		r := output(&pb.ModelInferResponse{ModelName: "m"}, raw, "a", seedEmail)
		change(r)
		return r
	}
	tests := []struct {
		name string
		rule func(r *masking.Rule)
		resp *pb.ModelInferResponse
		want string
	}{
		{"what a rule blocks", func(r *masking.Rule) { r.Action = action("block") }, resp(func(*pb.ModelInferResponse) {}), "blocks"},
		{"raw data more than outputs", nil, resp(func(r *pb.ModelInferResponse) { r.RawOutputContents = append(r.RawOutputContents, []byte(seedEmail)) }), "whose"},
		{"raw data less than outputs", nil, resp(func(r *pb.ModelInferResponse) { r.Outputs = append(r.Outputs, r.Outputs[0]) }), "whose"},
		{"an element that is cut", nil, resp(func(r *pb.ModelInferResponse) { r.RawOutputContents[0] = r.RawOutputContents[0][:9] }), "ends within"},
		{"a datatype that is not known", nil, resp(func(r *pb.ModelInferResponse) { r.Outputs[0].Datatype = "TEXT" }), "datatype"},
		{"numbers that are too long", nil, resp(func(r *pb.ModelInferResponse) { r.Outputs[0].Datatype = "UINT8" }), "length"},
		{"a shape that overflows", nil, resp(func(r *pb.ModelInferResponse) {
			r.Outputs[0].Datatype, r.Outputs[0].Shape = "UINT8", []int64{1 << 62, 8}
		}), "length"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, refused := recording(t, redacts(tt.rule)).Answer(t.Context(), inBytes(t, tt.resp), nil)
			if refused == nil || !strings.Contains(refused.Message, tt.want) || strings.Contains(refused.Message, seedEmail) {
				t.Errorf("got %v, want an error with %q", refused, tt.want)
			}
		})
	}
	if _, refused := recording(t, redacts(nil)).Answer(t.Context(), []byte("\xff"), nil); refused == nil {
		t.Error("what is no message is let through")
	}
}

// away is a detector that does not answer.
type away struct{}

func (away) Analyze(context.Context, string) ([]masking.Span, error) {
	return nil, errors.New("no answer")
}

func TestRecordingWithoutItsDetector(t *testing.T) {
	d := masking.Document{
		Detectors: []masking.Detector{{Name: "NAME", Presidio: &masking.Presidio{URL: "http://127.0.0.1:1", OnError: masking.Pass}}},
		Masking:   []masking.Rule{redacts(func(r *masking.Rule) { r.Entities, r.OnError = entities("NAME"), masking.Pass })},
	}
	rec := compile(t, d, masking.Options{Analyzer: func(masking.Presidio) (masking.Analyzer, error) { return away{}, nil }}).Record("m")
	resp := output(&pb.ModelInferResponse{ModelName: "m"}, raw, "a", "Jane")
	if _, refused := rec.Answer(t.Context(), inBytes(t, resp), nil); refused == nil {
		t.Error("a text that the detector did not see is recorded, though callers may get it")
	}
}

func TestRecordingNumbers(t *testing.T) {
	digits := 0
	round := masking.Rule{Name: "round", Models: []string{"*"}, Tensors: []string{"n"}, Action: masking.Action{Round: &digits}, Except: []string{"all"}}
	number := func(v float32) *pb.ModelInferResponse {
		return &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{{
			Name: "n", Datatype: "FP32", Shape: []int64{1}, Contents: &pb.InferTensorContents{Fp32Contents: []float32{v}},
		}}}
	}
	for _, rules := range [][]masking.Rule{{round}, {round, redacts(nil)}} {
		rec := recording(t, rules...)
		got, refused := rec.Answer(t.Context(), inBytes(t, number(1.4)), nil)
		read := &pb.ModelInferResponse{}
		if refused != nil || proto.Unmarshal(got, read) != nil || read.Outputs[0].Contents.Fp32Contents[0] != 1 {
			t.Errorf("got %v, %v, want 1", read, refused)
		}
		list, refused := rec.Answers(t.Context(), [][]byte{inBytes(t, &pb.ModelStreamInferResponse{InferResponse: number(2.6)})}, true, nil)
		stream := &pb.ModelStreamInferResponse{}
		if refused != nil || proto.Unmarshal(list[0], stream) != nil || stream.InferResponse.Outputs[0].Contents.Fp32Contents[0] != 3 {
			t.Errorf("got %v, %v, want 3", stream, refused)
		}
	}
}

func TestRecordingLeavesOutTextInAnotherForm(t *testing.T) {
	resp := output(&pb.ModelInferResponse{}, raw, "a", "x")
	resp.Outputs = append(resp.Outputs, &pb.ModelInferResponse_InferOutputTensor{Name: "token_ids", Datatype: "INT32", Shape: []int64{1}})
	resp.RawOutputContents = append(resp.RawOutputContents, []byte{1, 0, 0, 0})
	got, refused := recording(t, redacts(nil)).Answer(t.Context(), inBytes(t, resp), nil)
	if refused != nil || bytes.Contains(got, []byte("token_ids")) {
		t.Errorf("got %q, %v", got, refused)
	}
}

func TestRecordingName(t *testing.T) {
	rec := recording(t, redacts(func(r *masking.Rule) { r.Action = action("block") }))
	for text, want := range map[string]string{"": "", "text_input": "text_input", "for " + seedEmail + ", " + seedCard: "for [EMAIL], [CARD]"} {
		if got := rec.Name(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	var none *masking.Recording
	if none.Name(seedEmail) != seedEmail {
		t.Error("masked without a rule")
	}
}

func TestRecordingOther(t *testing.T) {
	req := &pb.RepositoryModelLoadRequest{ModelName: "m", Parameters: map[string]*pb.ModelRepositoryParameter{
		"config":   {ParameterChoice: &pb.ModelRepositoryParameter_StringParam{StringParam: `{"owner":"` + seedEmail + `"}`}},
		"file:1/x": {ParameterChoice: &pb.ModelRepositoryParameter_BytesParam{BytesParam: []byte(seedCard)}},
	}}
	rec := recording(t, redacts(nil))
	got, refused := rec.Message(t.Context(), "inference.RepositoryModelLoadRequest", inBytes(t, req), nil)
	if refused != nil {
		t.Fatal(refused)
	}
	clean(t, "the request", got)
	if _, refused := rec.Message(t.Context(), "no.such.Type", nil, nil); refused == nil {
		t.Error("a message of a type that is not known is let through")
	}
}

// streamOf makes the answers of a stream out of chunks of one text.
func streamOf(t testing.TB, how layout, chunks ...string) (list [][]byte) {
	t.Helper()
	for _, c := range chunks {
		list = append(list, inBytes(t, &pb.ModelStreamInferResponse{InferResponse: output(&pb.ModelInferResponse{ModelName: "m", Id: "1"}, how, "text_output", c)}))
	}
	return list
}

// textsOf reads them back.
func textsOf(t testing.TB, list [][]byte) (texts []string) {
	t.Helper()
	for _, b := range list {
		m := &pb.ModelStreamInferResponse{}
		if err := proto.Unmarshal(b, m); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, elementsOf(t, m.InferResponse, 0)[0])
	}
	return texts
}

func TestRecordingStream(t *testing.T) {
	delta := func(r *masking.Rule) { r.Mode = masking.Delta }
	tests := []struct {
		name     string
		rule     func(r *masking.Rule)
		ended    bool
		in, want []string
	}{
		{"a value across chunks stands where it begins", delta, true, []string{"to jane.d", "oe@exam", "ple.com, ok"}, []string{"to [EMAIL]", "", ", ok"}},
		{"values of neighbours", delta, true, []string{"a@b.org 4111 1111 ", "1111 1111", " x"}, []string{"[EMAIL] [CARD]", "", " x"}},
		{"as the policy does not say", nil, true, []string{"to jane.d", "oe@exam", "ple.com, ok"}, []string{"to [EMAIL]", "", ", ok"}},
		{"each a text of its own, not said", nil, true, []string{seedCard, seedCard}, []string{"[CARD]", "[CARD]"}},
		{"each a text of its own", func(r *masking.Rule) { r.Mode = masking.Independent }, true, []string{seedCard, seedCard}, []string{"[CARD]", "[CARD]"}},
		{"all so far", func(r *masking.Rule) { r.Mode = masking.Cumulative }, true, []string{"to jane.d", "to jane.doe@example.com", "to jane.doe@example.com!", "new a@b.org"}, []string{"to [EMAIL]", "to [EMAIL]", "to [EMAIL]!", "new [EMAIL]"}},
		{"all so far, not said", nil, true, []string{"4111 1111 1111 111", "4111 1111 1111 1111 x"}, []string{"[CARD]", "[CARD] x"}},
		{"broken off in a value", delta, false, []string{"hello, write to ", "jane.doe@exa"}, []string{"hello, write to ", ""}},
		{"broken off in a card, not said", nil, false, []string{"hello 4111 1111 ", "1111 111"}, []string{"hello ", ""}},
		{"broken off, all so far", func(r *masking.Rule) { r.Mode = masking.Cumulative }, false, []string{"hello 4111", "hello 4111 1111 1111 111"}, []string{"hello ", "hello "}},
	}
	for _, tt := range tests {
		for _, how := range []layout{raw, typed} {
			t.Run(fmt.Sprintf("%s/%v", tt.name, how), func(t *testing.T) {
				got, refused := recording(t, redacts(tt.rule)).Answers(t.Context(), streamOf(t, how, tt.in...), tt.ended, nil)
				if refused != nil {
					t.Fatal(refused)
				}
				if texts := textsOf(t, got); !slices.Equal(texts, tt.want) {
					t.Errorf("got %q, want %q", texts, tt.want)
				}
			})
		}
	}
}

// TestRecordingStreamIsTheWhole: however a text is cut, what is recorded is the
// masking of the whole.
func TestRecordingStreamIsTheWhole(t *testing.T) {
	text := "Write to " + seedEmail + " or " + seedEmail + "; pay with " + seedCard + ", number " + seedSSN + "."
	rec := recording(t, redacts(func(r *masking.Rule) { r.Mode = masking.Delta }))
	want, _ := rec.Text(t.Context(), text, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var chunks []string
		for rest := text; rest != ""; {
			n := min(len(rest), 1+rng.IntN(9))
			chunks, rest = append(chunks, rest[:n]), rest[n:]
		}
		got, refused := rec.Answers(t.Context(), streamOf(t, raw, chunks...), true, nil)
		if refused != nil {
			t.Fatal(refused)
		}
		if texts := textsOf(t, got); len(texts) != len(chunks) || strings.Join(texts, "") != want {
			t.Fatalf("cut as %q: %q, want %q", chunks, texts, want)
		}
	}
}

func TestRecordingStreamErrors(t *testing.T) {
	list := [][]byte{inBytes(t, &pb.ModelStreamInferResponse{ErrorMessage: "no such user " + seedEmail, InferResponse: &pb.ModelInferResponse{Id: seedCard}})}
	got, refused := recording(t, redacts(nil)).Answers(t.Context(), list, true, nil)
	if refused != nil {
		t.Fatal(refused)
	}
	clean(t, "the answer", got[0])
}

func FuzzRecording(f *testing.F) {
	f.Add([]byte("\x0a\x01m"), []byte("x"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		rec := recording(t, redacts(nil), redacts(func(r *masking.Rule) { r.Name, r.Format = "j", masking.JSON }))
		_, _ = rec.Request(t.Context(), a, nil)
		_, _ = rec.Answer(t.Context(), a, nil)
		_, _ = rec.Answers(t.Context(), [][]byte{a, b}, false, nil)
	})
}

// TestWhatIsHeard: who wants to hear of masked values hears each whole, however a
// stream cuts it, and nothing of what is only observed.
func TestWhatIsHeard(t *testing.T) {
	rules := []masking.Rule{redacts(func(r *masking.Rule) { r.Mode, r.Entities = masking.Delta, entities("EMAIL", "CARD") }), redacts(func(r *masking.Rule) {
		r.Name, r.Observe, r.Entities, r.Mode = "watch", true, entities("SSN"), masking.Delta
	})}
	var heard []string
	found := func(entity string, value []byte) { heard = append(heard, entity+" "+string(value)) }
	c := masking.Counts{Found: found}
	if _, refused := unary(t, plan(t, rules...), output(&pb.ModelInferResponse{}, raw, "a", seedEmail+" "+seedSSN), &c); refused != nil {
		t.Fatal(refused)
	}
	answers := plan(t, rules...).Answers(masking.Facts{Decoupled: true})
	answers.Counts().Found = found
	for _, b := range streamOf(t, raw, "pay 4111 11", "11 1111 1", "111 now", " and here") {
		m := wire.FromBytes(b)
		before, out, refused := answers.Mask(t.Context(), m)
		if refused != nil || before != nil {
			t.Fatal(refused)
		}
		if out != m {
			out.Free()
		}
		m.Free()
	}
	if want := []string{"EMAIL " + seedEmail, "CARD " + seedCard}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}
