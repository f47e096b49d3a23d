package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// pooled is b in buffers of n bytes from the poisoning pool.
func pooled(b []byte, n int) *wire.Message {
	var bufs mem.BufferSlice
	for len(b) > 0 {
		k := min(n, len(b))
		buf := pool.Get(k)
		copy(*buf, b)
		bufs = append(bufs, mem.NewBuffer(buf, pool))
		b = b[k:]
	}
	return wire.New(bufs)
}

func TestMessageFromProto(t *testing.T) {
	checkBuffers(t)
	for _, raw := range []int{0, 100, 100_000} {
		want := fullRequest()
		want.RawInputContents = append(want.RawInputContents, make([]byte, raw))
		m, err := wire.FromProto(want)
		if err != nil {
			t.Fatal(err)
		}
		var got inference.ModelInferRequest
		if err := m.Unmarshal(&got); err != nil || !proto.Equal(&got, want) {
			t.Errorf("%d raw bytes: %v, or another message", raw, err)
		}
		m.Free()
	}
	if _, err := wire.FromProto(&inference.ModelReadyRequest{Name: "\xff"}); err == nil {
		t.Error("a name that is not UTF-8 was encoded")
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	checkBuffers(t)
	m := pooled([]byte{0x0a, 5, 'a'}, 2)
	defer m.Free()
	err := m.Unmarshal(new(inference.ModelReadyRequest))
	if e, ok := access.AsError(err); !ok || e.Kind != access.Malformed || !strings.Contains(e.Message, "ModelReadyRequest") {
		t.Errorf("got %v", err)
	}
}

func TestFreeTwiceIsCounted(t *testing.T) {
	before := wire.FreedAgain()
	m := pooled(payload(5000), 2000)
	m.Free()
	m.Free()
	if got := wire.FreedAgain() - before; got != 1 {
		t.Errorf("counted %d, want 1", got)
	}
	if err := new(wire.Message).Take(m); err == nil {
		t.Error("a freed message was taken")
	}
	if got := wire.FreedAgain() - before; got != 2 {
		t.Errorf("counted %d, want 2", got)
	}
	pool.Check(t)
}

func TestTake(t *testing.T) {
	checkBuffers(t)
	a := budget(t, 0, 0)
	src := pooled(payload(5000), 2000)
	if err := src.Charge(a); err != nil {
		t.Fatal(err)
	}
	var dst wire.Message
	if err := dst.Take(src); err != nil {
		t.Fatal(err)
	}
	if dst.Len() != 5000 || a.Held() != 5000 || src.Len() != 0 {
		t.Errorf("moved %d bytes of 5000, %d held", dst.Len(), a.Held())
	}
	other := pooled(payload(3000), 2000)
	if err := dst.Take(other); err == nil {
		t.Error("took over a message that is held")
	}
	other.Free()
	dst.Free()
}

func TestReset(t *testing.T) {
	checkBuffers(t)
	a := budget(t, 0, 0)
	var m wire.Message
	for range 3 {
		if err := m.Take(pooled(payload(5000), 2000)); err != nil {
			t.Fatal(err)
		}
		if err := m.Charge(a); err != nil {
			t.Fatal(err)
		}
		m.Reset()
	}
	m.Free()
}

func TestCharge(t *testing.T) {
	checkBuffers(t)
	a := budget(t, 1<<20, 0)
	m := pooled(payload(700_000), 20_000)
	defer m.Free()
	for range 2 { // charged once, whoever asks again
		if err := m.Charge(a); err != nil || a.Held() != 700_000 {
			t.Fatalf("%v, %d held", err, a.Held())
		}
	}
	over := pooled(payload(700_000), 20_000)
	wantExhausted(t, over.Charge(a), "your limit")
	over.Free()
	if a.Held() != 700_000 {
		t.Errorf("%d held after a refusal", a.Held())
	}
}

func TestCodec(t *testing.T) {
	checkBuffers(t)
	codec := wire.Codec{}
	m := pooled(payload(5000), 2000)
	out, err := codec.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	m.Free() // gRPC has references of its own
	var back wire.Message
	if err := codec.Unmarshal(out, &back); err != nil {
		t.Fatal(err)
	}
	if err := codec.Unmarshal(out, &back); err == nil {
		t.Error("received into a message that is held")
	}
	out.Free()
	if got := back.Buffers().Materialize(); !bytes.Equal(got, payload(5000)) {
		t.Error("another message came out")
	}
	back.Free()
}

func TestCodecRefuses(t *testing.T) {
	checkBuffers(t)
	codec := wire.Codec{}
	freed := pooled(payload(10), 10)
	freed.Free()
	for name, v := range map[string]any{"a freed message": freed, "a string": "x", "nil": nil} {
		if _, err := codec.Marshal(v); err == nil {
			t.Errorf("%s was sent", name)
		}
	}
	if err := codec.Unmarshal(nil, new(string)); err == nil {
		t.Error("received into a string")
	}
	if codec.Name() != "proto" {
		t.Errorf("the codec is called %q", codec.Name())
	}
}

func TestCodecTyped(t *testing.T) {
	checkBuffers(t)
	codec := wire.Codec{}
	want := fullRequest()
	out, err := codec.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got inference.ModelInferRequest
	if err := codec.Unmarshal(out, &got); err != nil || !proto.Equal(&got, want) {
		t.Errorf("%v, or another message", err)
	}
	out.Free()
}

func TestViewsAreWhereTheBytesAre(t *testing.T) {
	checkBuffers(t)
	b := encode(t, fullRequest())
	for _, n := range []int{1, 2, 3, 50, 10_000} {
		m := pooled(b, n)
		view, err := m.InferRequest()
		if err != nil {
			t.Fatal(err)
		}
		name := view.ModelName()
		if start, end := name.Range(); string(b[start:end]) != "simple" {
			t.Errorf("the name is said to be at [%d,%d)", start, end)
		}
		if !name.Is("simple") || name.Is("simplf") || name.Is("simpl") || name.Is("") || name.Len() != 6 {
			t.Errorf("the name is %q", name.Bytes())
		}
		kept := name.String()
		if absent := view.Parameters(); absent.Has("absent") || !absent.Has("pi") {
			t.Error("Has")
		}
		m.Free()
		if kept != "simple" {
			t.Errorf("what was kept became %q", kept)
		}
	}
}

func TestZeroViews(t *testing.T) {
	if s := (wire.Span{}); s.Len() != 0 || s.Bytes() != nil || s.String() != "" || !s.Is("") || s.Is("a") {
		t.Error("the zero span is not empty")
	}
	var p wire.Parameters
	if _, found := p.Get("a"); found {
		t.Error("found a parameter in none")
	}
	for range p.All() {
		t.Error("a parameter in none")
	}
}
