package backendstest

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// finalKey is Triton's response parameter that marks a request's last answer,
// and emptyFinalKey the request's that asks for it also where it has no data
// (protocol/kserve-v2.md, section 3).
const (
	finalKey      = "triton_final_response"
	emptyFinalKey = "triton_enable_empty_final_response"
)

// sameTensors says how an answer's tensors differ from what is expected.
func sameTensors(got, want *inference.ModelInferResponse) error {
	if len(got.GetOutputs()) != len(want.GetOutputs()) || len(got.GetRawOutputContents()) != len(want.GetRawOutputContents()) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	for i, w := range want.GetOutputs() {
		g := got.GetOutputs()[i]
		if g.GetName() != w.GetName() || g.GetDatatype() != w.GetDatatype() || !slices.Equal(g.GetShape(), w.GetShape()) {
			return fmt.Errorf("output %d is %v, want %v", i, g, w)
		}
		if proto.Size(g.GetContents()) > 0 {
			return fmt.Errorf("output %d has typed contents, which tritonclient does not read: %v", i, g)
		}
	}
	for i, w := range want.GetRawOutputContents() {
		if g := got.GetRawOutputContents()[i]; string(g) != string(w) {
			return fmt.Errorf("raw contents %d are %q, want %q", i, g, w)
		}
	}
	return nil
}

func testInfer(t *testing.T, h Harness, e Exchange, id string) {
	t.Helper()
	b, _ := h.open(t, ModeWell)
	got, err := client(b).ModelInfer(t.Context(), e.request(id))
	if err != nil {
		t.Fatal(err)
	}
	if got.GetId() != id || got.GetModelName() != e.Request.GetModelName() {
		t.Errorf("the answer is of %q to %q", got.GetModelName(), got.GetId())
	}
	if err := sameTensors(got, e.Answers[0]); err != nil {
		t.Error(err)
	}
}

func testInferRaw(t *testing.T, h Harness) {
	if h.lacks(t, Infer) {
		b, _ := h.open(t, ModeWell)
		_, err := client(b).ModelInfer(t.Context(), h.Stream.request("r"))
		wantCode(t, "ModelInfer", err, codes.Unimplemented)
		return
	}
	testInfer(t, h, h.Infer, "r-1")
}

func testInferTyped(t *testing.T, h Harness) {
	if !h.lacks(t, Typed) && !h.lacks(t, Infer) {
		testInfer(t, h, h.TypedInfer, "t-1")
	}
}

func testInferUnknown(t *testing.T, h Harness) {
	if h.lacks(t, Infer) {
		return
	}
	b, _ := h.open(t, ModeWell)
	r := h.Infer.request("u")
	r.ModelName = unknownModel
	_, err := client(b).ModelInfer(t.Context(), r)
	wantCode(t, "ModelInfer of an unknown model", err, codes.NotFound)
}

// answersTo wants the answers among all that belong to the request id to be
// those of e, in their order, with a final one last if it was asked for.
func answersTo(t *testing.T, h Harness, e Exchange, id string, all []*inference.ModelStreamInferResponse, askedFinal bool) {
	t.Helper()
	var parts []*inference.ModelInferResponse
	over := false
	for _, a := range all {
		r := a.GetInferResponse()
		if r.GetId() != id {
			continue
		}
		if a.GetErrorMessage() != "" {
			t.Errorf("%s: error message %q", id, a.GetErrorMessage())
		}
		if over {
			t.Errorf("%s: an answer after the final one: %v", id, r)
		}
		final, ok := r.GetParameters()[finalKey].GetParameterChoice().(*inference.InferParameter_BoolParam)
		if !ok {
			t.Errorf("%s: an answer without %s: %v", id, finalKey, r)
			continue
		}
		over = final.BoolParam
		if r.GetModelName() != e.Request.GetModelName() {
			t.Errorf("%s: an answer of model %q", id, r.GetModelName())
		}
		if len(r.GetOutputs()) > 0 || !over {
			parts = append(parts, r)
		} else if !askedFinal {
			t.Errorf("%s: an empty final answer that nobody asked for", id)
		}
	}
	if !over && (askedFinal || !h.Decoupled) {
		t.Errorf("%s: no final answer", id)
	}
	if len(parts) != len(e.Answers) {
		t.Fatalf("%s: got %d answers, want %d: %v", id, len(parts), len(e.Answers), parts)
	}
	for i, want := range e.Answers {
		if err := sameTensors(parts[i], want); err != nil {
			t.Errorf("%s: answer %d: %v", id, i, err)
		}
	}
}

func testStream(t *testing.T, h Harness) {
	b, _ := h.open(t, ModeWell)
	if h.lacks(t, Stream) {
		wantCode(t, "ModelStreamInfer", stream(t.Context(), b, h.Infer.request("s")).err, codes.Unimplemented)
		return
	}
	if len(h.Stream.Answers) < 3 {
		t.Fatalf("the harness's stream has %d answers, want 3 or more", len(h.Stream.Answers))
	}
	r := stream(t.Context(), b, h.Stream.request("s-1"))
	if r.err != nil {
		t.Fatal(r.err)
	}
	answersTo(t, h, h.Stream, "s-1", r.answers, false)
}

// asking is a request that wants the end told.
func (e Exchange) asking(id string) *inference.ModelInferRequest {
	r := e.request(id)
	if r.Parameters == nil {
		r.Parameters = make(map[string]*inference.InferParameter)
	}
	r.Parameters[emptyFinalKey] = &inference.InferParameter{ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: true}}
	return r
}

func testStreamFinal(t *testing.T, h Harness) {
	if h.lacks(t, Stream) {
		return
	}
	b, _ := h.open(t, ModeWell)
	r := stream(t.Context(), b, h.Stream.asking("f-1"))
	if r.err != nil {
		t.Fatal(r.err)
	}
	answersTo(t, h, h.Stream, "f-1", r.answers, true)
}

// testStreamIDs sends requests side by side, one of them without an id.
func testStreamIDs(t *testing.T, h Harness) {
	if h.lacks(t, Stream) {
		return
	}
	b, _ := h.open(t, ModeWell)
	r := stream(t.Context(), b, h.Stream.asking("a"), h.Stream.asking("b"), h.Stream.asking(""))
	if r.err != nil {
		t.Fatal(r.err)
	}
	for _, id := range []string{"a", "b", ""} {
		answersTo(t, h, h.Stream, id, r.answers, true)
	}
}

// testStreamUnknown wants an error message for one request and the answers for
// the next.
func testStreamUnknown(t *testing.T, h Harness) {
	if h.lacks(t, Stream) {
		return
	}
	b, _ := h.open(t, ModeWell)
	bad := h.Stream.request("bad")
	bad.ModelName = unknownModel
	r := stream(t.Context(), b, bad, h.Stream.request("good"))
	if r.err != nil {
		t.Fatal(r.err)
	}
	if !r.failed("bad") {
		t.Errorf("no error message for the unknown model: %v", r.answers)
	}
	answersTo(t, h, h.Stream, "good", r.answers, false)
}

func testStreamEmpty(t *testing.T, h Harness) {
	if h.lacks(t, Stream) {
		return
	}
	b, _ := h.open(t, ModeWell)
	if r := stream(t.Context(), b); r.err != nil || len(r.answers) > 0 {
		t.Errorf("got %v", r)
	}
}
