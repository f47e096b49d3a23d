package wire_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// split cuts b into buffers; cuts says how long each is, over and over. No
// cuts leave b whole.
func split(b, cuts []byte) mem.BufferSlice {
	var out mem.BufferSlice
	for i := 0; len(b) > 0 && len(cuts) > 0; i++ {
		n := min(len(b), int(cuts[i%len(cuts)]))
		if n == 0 && i >= len(cuts) {
			n = 1 // empty buffers are tried, but not for ever
		}
		out = append(out, mem.SliceBuffer(b[:n:n]))
		b = b[n:]
	}
	if len(b) > 0 {
		out = append(out, mem.SliceBuffer(b))
	}
	return out
}

func FuzzInferRequest(f *testing.F) {
	addSeeds(f, "FuzzInferRequest")
	f.Fuzz(func(t *testing.T, b, cuts []byte) { checkRequest(t, b, cuts) })
}

func FuzzInferResponse(f *testing.F) {
	addSeeds(f, "FuzzStreamResponse")
	f.Fuzz(func(t *testing.T, b, cuts []byte) { checkResponse(t, b, cuts) })
}

func FuzzStreamResponse(f *testing.F) {
	addSeeds(f, "FuzzStreamResponse")
	f.Fuzz(func(t *testing.T, b, cuts []byte) { checkStream(t, b, cuts) })
}

// checkRequest holds the view of b to what proto.Unmarshal makes of b, and the
// canonical form of b to b.
func checkRequest(t *testing.T, b, cuts []byte) {
	t.Helper()
	m := wire.New(split(b, cuts))
	defer m.Free()
	var want inference.ModelInferRequest
	view, err := m.InferRequest()
	if !bothAccept(t, proto.Unmarshal(b, &want), err) {
		return
	}
	sameText(t, compareRequest(&want), viewRequest(view))
	again := checkCanonical(t, m, &want, new(inference.ModelInferRequest), view.Canonical, view.Ambiguous())
	if again == nil {
		return
	}
	defer again.Free()
	second, err := again.InferRequest()
	if err != nil {
		t.Fatalf("canonical form does not scan: %v", err)
	}
	if second.Ambiguous() {
		t.Fatal("canonical form is ambiguous")
	}
	sameText(t, compareRequest(&want), viewRequest(second))
}

func checkResponse(t *testing.T, b, cuts []byte) {
	t.Helper()
	m := wire.New(split(b, cuts))
	defer m.Free()
	var want inference.ModelInferResponse
	view, err := m.InferResponse()
	if !bothAccept(t, proto.Unmarshal(b, &want), err) {
		return
	}
	sameText(t, compareResponse(&want), viewResponse(view))
	again := checkCanonical(t, m, &want, new(inference.ModelInferResponse), view.Canonical, view.Ambiguous())
	if again == nil {
		return
	}
	defer again.Free()
	second, err := again.InferResponse()
	if err != nil || second.Ambiguous() {
		t.Fatalf("canonical form: ambiguous or %v", err)
	}
	sameText(t, compareResponse(&want), viewResponse(second))
}

func checkStream(t *testing.T, b, cuts []byte) {
	t.Helper()
	m := wire.New(split(b, cuts))
	defer m.Free()
	var want inference.ModelStreamInferResponse
	view, err := m.StreamResponse()
	if !bothAccept(t, proto.Unmarshal(b, &want), err) {
		return
	}
	sameText(t, compareStream(&want), viewStream(view))
	checkHead(t, m, b, view)
	again := checkCanonical(t, m, &want, new(inference.ModelStreamInferResponse), view.Canonical, view.Ambiguous())
	if again == nil {
		return
	}
	defer again.Free()
	second, err := again.StreamResponse()
	if err != nil || second.Ambiguous() {
		t.Fatalf("canonical form: ambiguous or %v", err)
	}
	sameText(t, compareStream(&want), viewStream(second))
}

// checkHead holds what an answer is known again by: what has the same head is sound,
// and the same but for its raw outputs.
func checkHead(t *testing.T, m *wire.Message, b []byte, view wire.StreamResponse) {
	t.Helper()
	head, can := view.AppendHead(nil)
	if m.HasHead(head) != can {
		t.Fatalf("an answer has its head: %v, want %v", !can, can)
	}
	if !can {
		return
	}
	for _, raw := range [][]byte{nil, {6 << 3 & 0xff, 0}, {6<<3 | 2, 0}, {6<<3 | 2, 1, 'x'}, {6<<3 | 2, 9, 'x'}, {3<<3 | 2, 1, 'x'}, {6<<3 | 2}} {
		body := append(slices.Clone(head), raw...)
		other := protowire.AppendBytes([]byte{2<<3 | 2}, body)
		if !wire.FromBytes(other).HasHead(head) {
			continue
		}
		var was, is inference.ModelStreamInferResponse
		if err := errors.Join(proto.Unmarshal(b, &was), proto.Unmarshal(other, &is)); err != nil {
			t.Fatalf("%x has the head of %x: %v", other, b, err)
		}
		was.InferResponse.RawOutputContents, is.InferResponse.RawOutputContents = nil, nil
		sameText(t, compareStream(&was), compareStream(&is))
	}
}

func bothAccept(t *testing.T, want, got error) bool {
	t.Helper()
	if (want == nil) != (got == nil) {
		t.Fatalf("proto.Unmarshal says %v, the scan says %v", want, got)
	}
	return want == nil
}

// checkCanonical returns the canonical form, after holding it to the original.
func checkCanonical(t *testing.T, m *wire.Message, want, got proto.Message, canonical func() (*wire.Message, error), ambiguous bool) *wire.Message {
	t.Helper()
	again, err := canonical()
	if err != nil {
		t.Fatalf("Canonical: %v", err)
	}
	if err := again.Unmarshal(got); err != nil {
		t.Fatalf("canonical form does not parse: %v", err)
	}
	if !proto.Equal(want, got) {
		t.Fatalf("canonical form differs:\n%v\n%v", want, got)
	}
	if n := again.Buffers().Len(); n != again.Len() {
		t.Fatalf("canonical form has %d bytes and says %d", n, again.Len())
	}
	if ambiguous != (again.Len() != m.Len()) {
		t.Fatalf("ambiguous is %v, but %d bytes became %d", ambiguous, m.Len(), again.Len())
	}
	return again
}

func sameText(t *testing.T, want, got string) {
	t.Helper()
	if want != got {
		t.Fatalf("protobuf reads\n%s\nthe view reads\n%s", want, got)
	}
}

// What follows writes down all that policy may look at, once from the decoded
// message and once from the view.

func compareRequest(m *inference.ModelInferRequest) string {
	s := fmt.Sprintf("%q %q %q %s in %d out %d raw %d\n", m.GetModelName(), m.GetModelVersion(), m.GetId(),
		compareParameters(m.GetParameters()), len(m.GetInputs()), len(m.GetOutputs()), len(m.GetRawInputContents()))
	for _, in := range m.GetInputs() {
		s += compareTensor(in.GetName(), in.GetDatatype(), in.GetShape(), in.GetParameters(), in.GetContents() != nil)
	}
	for _, out := range m.GetOutputs() {
		s += fmt.Sprintf("out %q %s\n", out.GetName(), compareParameters(out.GetParameters()))
	}
	return s + compareRaw(m.GetRawInputContents())
}

func viewRequest(r wire.InferRequest) string {
	s := fmt.Sprintf("%q %q %q %s in %d out %d raw %d\n", r.ModelName().String(), r.ModelVersion().Bytes(), r.ID().String(),
		viewParameters(r.Parameters()), r.NumInputs(), r.NumOutputs(), r.NumRaw())
	for in := range r.Inputs() {
		s += viewTensor(in)
	}
	for out := range r.Outputs() {
		s += fmt.Sprintf("out %q %s\n", out.Name().String(), viewParameters(out.Parameters()))
	}
	for raw := range r.Raw() {
		s += fmt.Sprintf("raw %d %x\n", raw.Len(), raw.Bytes())
	}
	return s
}

func compareResponse(m *inference.ModelInferResponse) string {
	s := fmt.Sprintf("%q %q %q %s\n", m.GetModelName(), m.GetModelVersion(), m.GetId(), compareParameters(m.GetParameters()))
	for _, out := range m.GetOutputs() {
		s += compareTensor(out.GetName(), out.GetDatatype(), out.GetShape(), out.GetParameters(), out.GetContents() != nil)
	}
	return s + compareRaw(m.GetRawOutputContents())
}

func viewResponse(r wire.InferResponse) string {
	s := fmt.Sprintf("%q %q %q %s\n", r.ModelName().String(), r.ModelVersion().String(), r.ID().String(), viewParameters(r.Parameters()))
	for out := range r.Outputs() {
		s += viewTensor(out)
	}
	for raw := range r.Raw() {
		s += fmt.Sprintf("raw %d %x\n", raw.Len(), raw.Bytes())
	}
	return s
}

func compareStream(m *inference.ModelStreamInferResponse) string {
	return fmt.Sprintf("%q %v\n", m.GetErrorMessage(), m.GetInferResponse() != nil) + compareResponse(m.GetInferResponse())
}

func viewStream(r wire.StreamResponse) string {
	return fmt.Sprintf("%q %v\n", r.ErrorMessage().String(), r.HasResponse()) + viewResponse(r.Response())
}

func compareRaw(raw [][]byte) (s string) {
	for _, b := range raw {
		s += fmt.Sprintf("raw %d %x\n", len(b), b)
	}
	return s
}

func compareTensor(name, datatype string, shape []int64, params map[string]*inference.InferParameter, contents bool) string {
	return fmt.Sprintf("tensor %q %q %d %s %v\n", name, datatype, append([]int64{}, shape...), compareParameters(params), contents)
}

func viewTensor(v wire.Tensor) string {
	return fmt.Sprintf("tensor %q %q %d %s %v\n", v.Name().String(), v.Datatype().String(), v.AppendShape([]int64{}),
		viewParameters(v.Parameters()), v.HasContents())
}

func compareParameters(params map[string]*inference.InferParameter) string {
	out := make(map[string]string)
	for key, p := range params {
		switch v := p.GetParameterChoice().(type) {
		case *inference.InferParameter_BoolParam:
			out[key] = fmt.Sprintf("bool %v", v.BoolParam)
		case *inference.InferParameter_Int64Param:
			out[key] = fmt.Sprintf("int64 %d", v.Int64Param)
		case *inference.InferParameter_StringParam:
			out[key] = fmt.Sprintf("string %q", v.StringParam)
		case *inference.InferParameter_DoubleParam:
			out[key] = fmt.Sprintf("double %x", math.Float64bits(v.DoubleParam))
		case *inference.InferParameter_Uint64Param:
			out[key] = fmt.Sprintf("uint64 %d", v.Uint64Param)
		default:
			out[key] = "unset"
		}
	}
	return inOrder(out)
}

func viewParameters(params wire.Parameters) string {
	out := make(map[string]string)
	for key, p := range params.All() {
		out[key.String()] = viewParameter(p)
	}
	asked := 0
	for key, have := range out {
		if asked++; asked > 50 {
			break // each reads the whole map
		}
		if got, found := params.Get(key); !found || viewParameter(got) != have {
			out[key] = "not what Get finds: " + viewParameter(got)
		}
	}
	return inOrder(out)
}

func viewParameter(p wire.Parameter) string {
	if v, ok := p.Bool(); ok {
		return fmt.Sprintf("bool %v", v)
	}
	if v, ok := p.Int64(); ok {
		return fmt.Sprintf("int64 %d", v)
	}
	if v, ok := p.Text(); ok {
		return fmt.Sprintf("string %q", v.String())
	}
	if v, ok := p.Double(); ok {
		return fmt.Sprintf("double %x", math.Float64bits(v))
	}
	if v, ok := p.Uint64(); ok {
		return fmt.Sprintf("uint64 %d", v)
	}
	return "unset"
}

func inOrder(m map[string]string) (s string) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		s += fmt.Sprintf("{%q: %s}", key, m[key])
	}
	return s
}
