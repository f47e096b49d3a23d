package masking_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

// other is a model whose way of streaming is not known.
var other = masking.Facts{Decoupled: true, Backend: "tensorrtllm"}

func withMode(m masking.Mode) func(r *masking.Rule) { return func(r *masking.Rule) { r.Mode = m } }

// TestCumulative shows that every answer is a beginning of the masked whole, and
// the last one all of it.
func TestCumulative(t *testing.T) {
	checkBuffers(t)
	rules := []masking.Rule{redacts(withMode(masking.Cumulative))}
	p := plan(t, rules...)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		text := texts[r.IntN(len(texts))]
		how, end := layout(r.IntN(2) == 0), ending(r.IntN(4))
		cut := append(chunks(r, text), "")
		so := ""
		var answers []*pb.ModelStreamInferResponse
		for i, chunk := range cut {
			so += chunk
			answers = append(answers, answer(end == withData && i == len(cut)-1, output(&pb.ModelInferResponse{}, how, "out", so)))
		}
		switch end {
		case empty:
			answers = append(answers, answer(true, &pb.ModelInferResponse{}))
		case failed:
			answers = append(answers, &pb.ModelStreamInferResponse{ErrorMessage: "it broke", InferResponse: &pb.ModelInferResponse{Id: "req-1"}})
		}
		got, refused := sent(t, p.Answers(other), end == broken, answers...)
		if refused != nil {
			t.Fatal(refused)
		}
		whole, last := wholeText(t, rules, text), ""
		for _, a := range got {
			if len(a.GetInferResponse().GetOutputs()) == 0 {
				continue
			}
			last = elementsOf(t, a.GetInferResponse(), 0)[0]
			if !strings.HasPrefix(whole, last) {
				t.Fatalf("seed %d: %q is no beginning of %q", seed, last, whole)
			}
		}
		if last != whole {
			t.Fatalf("seed %d, ending %d: the last is %q, want %q", seed, end, last, whole)
		}
	}
}

func TestCumulativeBeginsAgain(t *testing.T) {
	checkBuffers(t)
	p := plan(t, redacts(withMode(masking.Cumulative)))
	var answers []*pb.ModelStreamInferResponse
	for _, text := range []string{"to jane.d", "to jane.doe@example.com, ", "from bob@example.org! ", "from"} {
		answers = append(answers, answer(false, output(&pb.ModelInferResponse{}, raw, "out", text)))
	}
	got, refused := sent(t, p.Answers(other), true, answers...)
	if refused != nil {
		t.Fatal(refused)
	}
	var out []string
	for _, a := range got {
		out = append(out, elementsOf(t, a.GetInferResponse(), 0)[0])
	}
	for _, text := range out {
		if strings.Contains(text, "jane") || strings.Contains(text, "bob") {
			t.Errorf("%q leaks", out)
		}
	}
	if !strings.HasPrefix(out[1], "to [EMAIL]") || !strings.HasPrefix(out[2], "from [EMAIL]") || out[len(out)-1] != "from" {
		t.Errorf("got %q", out)
	}
}

func TestIndependent(t *testing.T) {
	checkBuffers(t)
	p := plan(t, redacts(withMode(masking.Independent)))
	a := func(text string) *pb.ModelStreamInferResponse {
		return answer(false, output(&pb.ModelInferResponse{}, typed, "out", text))
	}
	got, refused := sent(t, p.Answers(other), true, a("jane.doe@exam"), a("ple.com"), a("a@b.org"))
	if refused != nil || len(got) != 3 {
		t.Fatalf("%v, %d answers", refused, len(got))
	}
	if out := joined(t, got, "out", 1)[0]; out != "jane.doe@example.com[EMAIL]" {
		t.Errorf("got %q", out)
	}
}

// TestStreamOfOneAnswer is a model that answers once: nothing is held.
func TestStreamOfOneAnswer(t *testing.T) {
	checkBuffers(t)
	p := plan(t, redacts(nil))
	in := answer(false, output(&pb.ModelInferResponse{}, raw, "out", "jane.doe@example.com", "half a mail: jane.d"))
	got, refused := sent(t, p.Answers(masking.Facts{}), true, in)
	if refused != nil || len(got) != 1 {
		t.Fatalf("%v, %d answers", refused, len(got))
	}
	if out := elementsOf(t, got[0].GetInferResponse(), 0); !slices.Equal(out, []string{"[EMAIL]", "half a mail: jane.d"}) {
		t.Errorf("got %q", out)
	}
}

func TestUnknownModeIsRefused(t *testing.T) {
	checkBuffers(t)
	p := plan(t, redacts(nil))
	in := answer(false, output(&pb.ModelInferResponse{}, raw, "out", "x"))
	got, refused := sent(t, p.Answers(other), true, in)
	wantRefusal(t, refused, access.PermissionDenied, `"out"`, `"pii"`, "mode")
	if len(got) > 0 {
		t.Error("an answer went out")
	}
	// vLLM's own are known, and what else such a model has is not.
	for name, known := range map[string]bool{"text_output": true, "finish_reason": true, "summary": false} {
		in := answer(true, output(&pb.ModelInferResponse{}, raw, name, "x"))
		if _, refused := sent(t, p.Answers(decoupled), true, in); (refused == nil) != known {
			t.Errorf("%s: %v", name, refused)
		}
	}
}

func wantRefusal(t *testing.T, refused *access.Error, kind access.ErrorKind, words ...string) {
	t.Helper()
	if refused == nil || refused.Kind != kind {
		t.Fatalf("got %v, want a refusal", refused)
	}
	for _, w := range words {
		if !strings.Contains(refused.Message, w) {
			t.Errorf("%q does not say %q", refused.Message, w)
		}
	}
}

func TestBlockEndsTheRequest(t *testing.T) {
	checkBuffers(t)
	p := plan(t, redacts(func(r *masking.Rule) { r.Action = action("block") }))
	s := p.Answers(decoupled)
	a := func(text string) *pb.ModelStreamInferResponse {
		return answer(false, output(&pb.ModelInferResponse{}, raw, "text_output", text))
	}
	got, refused := sent(t, s, true, a("my number is 4111 11"), a("11 1111 1111."), a("after it"))
	wantRefusal(t, refused, access.PermissionDenied, "withheld", `"pii"`)
	if refused.Reason != access.ReasonBlocked || strings.Contains(refused.Message, "4111") {
		t.Errorf("got %+v", refused)
	}
	if out := joined(t, got, "text_output", 1)[0]; strings.Contains(out, "4") {
		t.Errorf("%q went out", out)
	}
	if _, again := sent(t, s, true, a("more")); again != refused {
		t.Error("an answer went out after the refusal")
	}
	if _, again := s.Flush(t.Context()); again != refused {
		t.Error("what was held went out after the refusal")
	}
	if n := s.Counts().Masked["CARD"]; n != 1 {
		t.Errorf("counted %d", n)
	}
}

// TestFlushLooksLikeTheOthers holds an answer made by the gateway to those of
// the backend.
func TestFlushLooksLikeTheOthers(t *testing.T) {
	for _, how := range []layout{raw, typed} {
		checkBuffers(t)
		p := plan(t, redacts(nil))
		s := p.Answers(decoupled)
		in := output(output(&pb.ModelInferResponse{}, how, "text_output", "a clean one ", "mail jane.doe@ex"), how, "finish_reason", "None", "None")
		got, refused := sent(t, s, true, answer(false, in))
		if refused != nil || len(got) != 2 {
			t.Fatalf("%v, %d answers", refused, len(got))
		}
		last := got[1].GetInferResponse()
		if final := last.GetParameters()["triton_final_response"]; last.GetId() != "req-1" || last.GetModelName() != "m" || last.GetModelVersion() != "1" || final == nil || final.GetBoolParam() {
			t.Errorf("got %v", last)
		}
		out := last.GetOutputs()
		if len(out) != 1 || out[0].GetName() != "text_output" || out[0].GetDatatype() != "BYTES" || !slices.Equal(out[0].GetShape(), []int64{1, 2}) {
			t.Errorf("got %v", out)
		}
		if (len(last.GetRawOutputContents()) == 0) != bool(how) || len(elementsOf(t, last, 0)) != 2 {
			t.Errorf("layout %v: got %v", how, last)
		}
		if joined := joined(t, got, "text_output", 2); !slices.Equal(joined, []string{"a clean one ", "mail jane.doe@ex"}) {
			t.Errorf("got %q", joined)
		}
		if m, refused := s.Flush(t.Context()); m != nil || refused != nil {
			t.Error("flushed twice")
		}
	}
}

// TestNothingHeldCostsNothing streams texts that hold nothing, without changes.
func TestNothingHeldCostsNothing(t *testing.T) {
	checkBuffers(t)
	p := plan(t, redacts(nil))
	s := p.Answers(decoupled)
	for _, text := range []string{"a clean text. ", "and one more. ", ""} {
		m := message(t, answer(false, output(&pb.ModelInferResponse{}, raw, "text_output", text)), 1000)
		before, masked, refused := s.Mask(t.Context(), m)
		if refused != nil || before != nil || masked != m {
			t.Errorf("%q: changed, or %v", text, refused)
		}
		m.Free()
	}
	if m, refused := s.Flush(t.Context()); m != nil || refused != nil {
		t.Errorf("%v held", m)
	}
}

// TestFewerElementsAtTheEnd has the last answer leave out what is held.
func TestFewerElementsAtTheEnd(t *testing.T) {
	checkBuffers(t)
	p := plan(t, redacts(nil))
	got, refused := sent(t, p.Answers(decoupled), true,
		answer(false, output(&pb.ModelInferResponse{}, raw, "text_output", "x", "mail jane.doe@example.co")),
		answer(true, output(&pb.ModelInferResponse{}, raw, "text_output", "y")))
	if refused != nil || len(got) != 3 {
		t.Fatalf("%v, %d answers", refused, len(got))
	}
	if !got[2].GetInferResponse().GetParameters()["triton_final_response"].GetBoolParam() {
		t.Error("the last answer is not the last")
	}
	if out := joined(t, got, "text_output", 2); !slices.Equal(out, []string{"xy", "mail [EMAIL]"}) {
		t.Errorf("got %q", out)
	}
}

func TestTooManyElementsInAStream(t *testing.T) {
	checkBuffers(t)
	p := plan(t, redacts(nil))
	in := answer(false, output(&pb.ModelInferResponse{}, raw, "text_output", make([]string, 5000)...))
	_, refused := sent(t, p.Answers(decoupled), true, in)
	wantRefusal(t, refused, access.PermissionDenied, "elements")
	var answers []*pb.ModelStreamInferResponse
	for i := range 100 {
		name := "text_output" + strings.Repeat("x", i)
		answers = append(answers, answer(false, output(&pb.ModelInferResponse{}, raw, name, "x")))
	}
	_, refused = sent(t, plan(t, redacts(withMode(masking.Delta))).Answers(other), true, answers...)
	wantRefusal(t, refused, access.PermissionDenied, "outputs")
}

// TestUnboundedInPieces streams what has no longest length through each action.
func TestUnboundedInPieces(t *testing.T) {
	key := "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n", 20) + "-----END PRIVATE KEY-----\n"
	in := "before " + key + "after"
	t.Setenv("MASK_KEY", "a key of enough bytes")
	tests := []struct {
		name   string
		action masking.Action
		want   string // "" for what a hash is
	}{
		{"redact", masking.Action{}, "before [PRIVATE_KEY]"},
		{"drop", action("drop"), "before "},
		{"partial", action("partial"), "before ****"},
		{"hash", masking.Action{Hash: hashKey(t)}, "before [PRIVATE_KEY:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			rules := []masking.Rule{redacts(func(r *masking.Rule) { r.Entities, r.Action = entities("PRIVATE_KEY"), tt.action })}
			want := wholeText(t, rules, in)
			if !strings.HasPrefix(want, tt.want) || !strings.HasSuffix(want, "after") || strings.Contains(want, "MII") {
				t.Fatalf("got %q", want)
			}
			everyCut(t, plan(t, rules...), in, want)
		})
	}
}

func hashKey(t testing.TB) *masking.Hash {
	t.Helper()
	var h masking.Hash
	if err := h.Key.UnmarshalText([]byte("${MASK_KEY}")); err != nil {
		t.Fatal(err)
	}
	return &h
}

// TestHashIsStable shows that the same value has the same hash, however it is
// written, and another key another.
func TestHashIsStable(t *testing.T) {
	checkBuffers(t)
	hashOf := func(key, text string) string {
		t.Setenv("MASK_KEY", key)
		return wholeText(t, []masking.Rule{redacts(func(r *masking.Rule) { r.Action = masking.Action{Hash: hashKey(t)} })}, text)
	}
	const key = "0123456789abcdef"
	one := hashOf(key, "4111 1111 1111 1111")
	if !strings.HasPrefix(one, "[CARD:") || len(one) != len("[CARD:0123456789abcdef]") {
		t.Errorf("got %q", one)
	}
	for _, same := range []string{"4111111111111111", "4111-1111-1111-1111", `4111 1111\u00201111 1111`} {
		if got := hashOf(key, same); got != one {
			t.Errorf("%q: got %q, want %q", same, got, one)
		}
	}
	if hashOf(key, "5500 0000 0000 0004") == one || hashOf("another key of 16", "4111 1111 1111 1111") == one {
		t.Error("another value or key has the same hash")
	}
}

// TestHeldTextIsCharged holds a whole text for an analyzer, on its principal's
// budget.
func TestHeldTextIsCharged(t *testing.T) {
	checkBuffers(t)
	a := wire.NewBudget(wire.BudgetConfig{All: 1 << 20, PerPrincipal: 1 << 20}).Account("alice")
	defer a.Close()
	ctx := wire.WithAccount(t.Context(), a)
	p := asks(t, findsNames, masking.Presidio{}, nil)
	s := p.Answers(decoupled)
	feed := func(final bool) (*wire.Message, *access.Error) {
		m := message(t, answer(final, output(&pb.ModelInferResponse{}, raw, "text_output", strings.Repeat("words ", 10_000))), 16<<10)
		defer m.Free()
		before, masked, refused := s.Mask(ctx, m)
		if before != nil || masked == m {
			t.Fatal("nothing is held")
		}
		return masked, refused
	}
	for i := range 3 {
		m, refused := feed(i == 2)
		if refused != nil {
			t.Fatal(refused)
		}
		m.Free()
		if held := a.Held(); (held < int64(60_000*(i+1))) != (i == 2) || i == 2 && held != 0 {
			t.Errorf("answer %d: %d bytes are charged", i, held)
		}
	}
	s = p.Answers(decoupled)
	for range 20 {
		m, refused := feed(false)
		if refused != nil {
			wantRefusal(t, refused, access.Exhausted, "limit")
			if m != nil || a.Held() > 1<<20 {
				t.Errorf("%d bytes are charged", a.Held())
			}
			return
		}
		m.Free()
	}
	t.Error("more was held than the budget has")
}

// TestNumbersNeedNoMode streams numbers beside a text, of models known and not.
func TestNumbersNeedNoMode(t *testing.T) {
	checkBuffers(t)
	in := func(name string) *pb.ModelStreamInferResponse {
		r := output(&pb.ModelInferResponse{}, raw, name, "x")
		r.Outputs = append(r.Outputs, &pb.ModelInferResponse_InferOutputTensor{Name: "num_output_tokens", Datatype: "UINT32", Shape: []int64{1}})
		r.RawOutputContents = append(r.RawOutputContents, []byte{1, 0, 0, 0})
		return answer(true, r)
	}
	for facts, p := range map[*masking.Facts]*masking.Plan{
		&decoupled: plan(t, redacts(nil)),
		&other:     plan(t, redacts(func(r *masking.Rule) { r.Mode, r.Tensors = masking.Delta, []string{"text_output", "n*"} })),
	} {
		if _, refused := sent(t, p.Answers(*facts), true, in("text_output")); refused != nil {
			t.Error(refused)
		}
	}
}

// TestOutputTwice refuses an answer whose texts could be cut into each other.
func TestOutputTwice(t *testing.T) {
	checkBuffers(t)
	in := output(output(&pb.ModelInferResponse{}, raw, "text_output", "jane.doe@ex"), raw, "text_output", "ample.com")
	_, refused := sent(t, plan(t, redacts(nil)).Answers(decoupled), true, answer(false, in))
	wantRefusal(t, refused, access.PermissionDenied, "twice")
}
