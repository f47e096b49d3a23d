package masking_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

var decoupled = masking.Facts{Decoupled: true, Backend: "vllm"}

// answer makes a ModelStreamInferResponse.
func answer(final bool, r *pb.ModelInferResponse) *pb.ModelStreamInferResponse {
	r.ModelName, r.ModelVersion, r.Id = "m", "1", "req-1"
	r.Parameters = map[string]*pb.InferParameter{
		"triton_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: final}},
	}
	return &pb.ModelStreamInferResponse{InferResponse: r}
}

// sent masks the answers to one request, in order, and returns what goes to the
// client; end flushes what is held after the last one.
func sent(t testing.TB, s *masking.Answers, end bool, answers ...*pb.ModelStreamInferResponse) ([]*pb.ModelStreamInferResponse, *access.Error) {
	t.Helper()
	var out []*pb.ModelStreamInferResponse
	take := func(m *wire.Message) {
		got := new(pb.ModelStreamInferResponse)
		if err := m.Unmarshal(got); err != nil {
			t.Fatal(err)
		}
		out = append(out, got)
	}
	for _, a := range answers {
		m := message(t, a, 100)
		before, masked, refused := s.Mask(t.Context(), m)
		if refused != nil {
			m.Free()
			return out, refused
		}
		if before != nil {
			take(before)
			before.Free()
		}
		take(masked)
		if masked != m {
			masked.Free()
		}
		m.Free()
	}
	if end {
		m, refused := s.Flush(t.Context())
		if refused != nil {
			return out, refused
		}
		if m != nil {
			take(m)
			m.Free()
		}
	}
	return out, nil
}

// ending is how the answers to a request end.
type ending int

const (
	withData ending = iota // the last data is marked as the last
	empty                  // an answer without outputs is
	broken                 // the stream ends
	failed                 // an error comes
)

// texts are seeds in prose, and texts that hold nothing.
var texts = []string{
	"",
	"clean",
	"mail jane.doe@example.com, or call.",
	"card 4111 1111 1111 1111 and ssn 536-90-4399 of jane.doe@example.com",
	"größe 10 \u2013 jane\u200b.doe@example.com!",
	`{"to": "jane\u0040example.com", "n": [4111111111111111]}`,
	strings.Repeat("long clean prose without a value in it, ", 20) + "a@b.org",
}

// chunks cuts a text anywhere, also into nothing.
func chunks(r *rand.Rand, text string) (list []string) {
	for text != "" {
		n := min(len(text), r.IntN(9))
		if r.IntN(10) == 0 {
			n = r.IntN(len(text) + 1)
		}
		list = append(list, text[:n])
		text = text[n:]
	}
	return list
}

// joined is the text of each element over all answers.
func joined(t testing.TB, answers []*pb.ModelStreamInferResponse, name string, n int) []string {
	t.Helper()
	out := make([]string, n)
	for _, a := range answers {
		r := a.GetInferResponse()
		i := slices.IndexFunc(r.GetOutputs(), func(o *pb.ModelInferResponse_InferOutputTensor) bool { return o.GetName() == name })
		if i < 0 {
			continue
		}
		for k, e := range elementsOf(t, r, i) {
			out[k] += e
		}
	}
	return out
}

func TestDeltaIsTheMaskedWhole(t *testing.T) {
	checkBuffers(t)
	rules := []masking.Rule{redacts(nil)}
	formats := map[string][]masking.Rule{"text": rules, "json": {redacts(func(r *masking.Rule) { r.Format = masking.JSON })}}
	for name, rules := range formats {
		p := plan(t, rules...)
		for seed := range uint64(300) {
			r := rand.New(rand.NewPCG(seed, 1))
			n := 1 + r.IntN(3)
			whole := make([]string, n)
			cut := make([][]string, n)
			steps := 1
			for i := range n {
				whole[i] = texts[r.IntN(len(texts))]
				cut[i] = chunks(r, whole[i])
				steps = max(steps, len(cut[i]))
			}
			how, end := layout(r.IntN(2) == 0), ending(r.IntN(4))
			var answers []*pb.ModelStreamInferResponse
			for step := range steps {
				elems := make([]string, n)
				for i := range n {
					if step < len(cut[i]) {
						elems[i] = cut[i][step]
					}
				}
				answers = append(answers, answer(end == withData && step == steps-1, output(&pb.ModelInferResponse{}, how, "text_output", elems...)))
			}
			switch end {
			case empty:
				answers = append(answers, answer(true, &pb.ModelInferResponse{}))
			case failed:
				answers = append(answers, &pb.ModelStreamInferResponse{ErrorMessage: "it broke", InferResponse: &pb.ModelInferResponse{Id: "req-1"}})
			}
			got, refused := sent(t, p.Answers(decoupled), end == broken, answers...)
			if refused != nil {
				t.Fatal(refused)
			}
			where := fmt.Sprintf("%s, seed %d, %d elements, layout %v, ending %d", name, seed, n, how, end)
			masked := make([]string, n)
			for i := range n {
				masked[i] = wholeText(t, rules, whole[i])
			}
			if out := joined(t, got, "text_output", n); !slices.Equal(out, masked) {
				t.Fatalf("%s:\ngot  %q\nwant %q", where, out, masked)
			}
			sameShape(t, where, answers, got)
		}
	}
}

// wholeText is a text masked as the only element of a unary answer.
func wholeText(t testing.TB, rules []masking.Rule, text string, by ...*masking.Plan) string {
	t.Helper()
	if len(by) == 0 {
		by = append(by, plan(t, rules...))
	}
	got, refused := unary(t, by[0], output(&pb.ModelInferResponse{}, raw, "text_output", text), nil)
	if refused != nil {
		t.Fatal(refused)
	}
	if got == nil {
		return text
	}
	return elementsOf(t, got, 0)[0]
}

// sameShape holds what went out to what came in: order, names, datatypes,
// shapes, parameters, and how many elements there are.
func sameShape(t testing.TB, where string, in, out []*pb.ModelStreamInferResponse) {
	t.Helper()
	rest := out
	for _, want := range in {
		for len(rest) > 0 && !similar(want, rest[0]) {
			head := rest[0].GetInferResponse()
			if head.GetParameters()["triton_final_response"].GetBoolParam() || head.GetId() != "req-1" || head.GetModelName() != "m" || head.GetModelVersion() != "1" {
				t.Fatalf("%s: an answer more, or changed: %v", where, rest[0])
			}
			rest = rest[1:]
		}
		if len(rest) == 0 {
			t.Fatalf("%s: answer lost: %v", where, want)
		}
		rest = rest[1:]
	}
	if len(rest) > 1 {
		t.Fatalf("%s: %d answers more at the end", where, len(rest))
	}
}

// similar tells whether two answers differ in the texts of their elements only.
func similar(a, b *pb.ModelStreamInferResponse) bool {
	bare := func(m *pb.ModelStreamInferResponse) *pb.ModelStreamInferResponse {
		m = proto.Clone(m).(*pb.ModelStreamInferResponse)
		r := m.GetInferResponse()
		for i, raw := range r.GetRawOutputContents() {
			r.RawOutputContents[i] = nil
			for ; len(raw) >= 4; raw = raw[4+int(raw[0])+int(raw[1])<<8:] {
				r.RawOutputContents[i] = append(r.RawOutputContents[i], 1)
			}
		}
		for _, o := range r.GetOutputs() {
			for i := range o.GetContents().GetBytesContents() {
				o.GetContents().GetBytesContents()[i] = nil
			}
		}
		return m
	}
	return proto.Equal(bare(a), bare(b))
}
