package wire_test

import (
	"bytes"
	"runtime"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

func TestSplice(t *testing.T) {
	const text = "0123456789"
	tests := []struct {
		name  string
		edits []wire.Edit
		want  string
	}{
		{"nothing", nil, text},
		{"replace", []wire.Edit{{2, 4, []byte("ab")}}, "01ab456789"},
		{"shorten", []wire.Edit{{2, 8, []byte("a")}}, "01a89"},
		{"insert", []wire.Edit{{5, 5, []byte("abc")}}, "01234abc56789"},
		{"append", []wire.Edit{{10, 10, []byte("abc")}}, "0123456789abc"},
		{"delete all", []wire.Edit{{0, 10, nil}}, ""},
		{"several", []wire.Edit{{0, 1, []byte("a")}, {1, 1, []byte("b")}, {3, 5, nil}, {9, 10, []byte("z")}}, "ab125678z"},
	}
	for _, tt := range tests {
		for _, n := range []int{1, 3, 100} {
			t.Run(tt.name, func(t *testing.T) {
				checkBuffers(t)
				m := pooled([]byte(text), n)
				out, err := m.Splice(tt.edits)
				if err != nil {
					t.Fatal(err)
				}
				m.Free()
				if got := out.Buffers().Materialize(); string(got) != tt.want || out.Len() != len(tt.want) {
					t.Errorf("got %q of %d bytes, want %q", got, out.Len(), tt.want)
				}
				out.Free()
			})
		}
	}
}

func TestSpliceRefuses(t *testing.T) {
	checkBuffers(t)
	a := budget(t, 0, 0)
	for name, edits := range map[string][]wire.Edit{
		"backwards": {{5, 4, nil}},
		"overlap":   {{0, 5, []byte("x")}, {4, 6, nil}},
		"order":     {{5, 6, nil}, {0, 1, nil}},
		"beyond":    {{5, 50_001, nil}},
		"before":    {{-1, 2, nil}},
	} {
		m := pooled(payload(50_000), 16<<10)
		if err := m.Charge(a); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Splice(edits); err == nil {
			t.Errorf("%s: accepted", name)
		}
		m.Free()
	}
}

// TestSpliceShares shows that what is not edited is not copied, and that the
// charge lasts as long as either message.
func TestSpliceShares(t *testing.T) {
	checkBuffers(t)
	a := budget(t, 0, 0)
	want := payload(1 << 20)
	m := pooled(want, 16<<10)
	if err := m.Charge(a); err != nil {
		t.Fatal(err)
	}
	before := pool.Gets()
	out, err := m.Splice([]wire.Edit{{500_000, 500_010, []byte("0123456789")}})
	if err != nil {
		t.Fatal(err)
	}
	copy(want[500_000:], "0123456789")
	if n := pool.Gets() - before; n != 1 {
		t.Errorf("%d buffers were made for ten bytes", n)
	}
	m.Free()
	if a.Held() < 1<<20 {
		t.Errorf("%d bytes are held while their buffers are", a.Held())
	}
	if !bytes.Equal(out.Buffers().Materialize(), want) {
		t.Error("another message came out")
	}
	out.Free()
}

// TestSpliceOutlivesItsMessage reuses a message whose charge is shared.
func TestSpliceOutlivesItsMessage(t *testing.T) {
	checkBuffers(t)
	a := budget(t, 0, 0)
	m := pooled(payload(50_000), 50_000)
	if err := m.Charge(a); err != nil {
		t.Fatal(err)
	}
	out, err := m.Splice(nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Reset()
	if err := m.Take(pooled(payload(10_000), 16<<10)); err != nil {
		t.Fatal(err)
	}
	if err := m.Charge(a); err != nil {
		t.Fatal(err)
	}
	if a.Held() != 60_000 {
		t.Errorf("%d bytes are held, want 60000", a.Held())
	}
	out.Free()
	if a.Held() != 10_000 {
		t.Errorf("%d bytes are held, want 10000", a.Held())
	}
	m.Free()
}

func TestSpliceOverBudget(t *testing.T) {
	checkBuffers(t)
	a := budget(t, 1<<20, 1<<20)
	m := pooled(payload(1<<20-100), 16<<10)
	defer m.Free()
	if err := m.Charge(a); err != nil {
		t.Fatal(err)
	}
	_, err := m.Splice([]wire.Edit{{0, 0, []byte("x")}})
	wantExhausted(t, err, "your limit")
}

// TestCanonicalShares shows that a tensor's bytes are not copied when the
// message around them is made canonical.
func TestCanonicalShares(t *testing.T) {
	checkBuffers(t)
	req := fullRequest()
	req.RawInputContents = [][]byte{payload(1 << 20)}
	b := append(encode(t, &inference.ModelInferRequest{ModelName: "other"}), encode(t, req)...)
	m := pooled(b, 16<<10)
	defer m.Free()
	view, err := m.InferRequest()
	if err != nil || !view.Ambiguous() {
		t.Fatalf("%v, ambiguous is %v", err, view.Ambiguous())
	}
	before := pool.Gets()
	out, err := view.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Free()
	if n := pool.Gets() - before; n > 2 {
		t.Errorf("%d buffers were made", n)
	}
	var got inference.ModelInferRequest
	if err := out.Unmarshal(&got); err != nil || !proto.Equal(&got, req) {
		t.Errorf("%v, or another message", err)
	}
}

// TestMemory bounds what a scan, and a canonical form, take of messages that
// are all structure: a decoded one takes 20 to 60 times its size.
func TestMemory(t *testing.T) {
	for _, tt := range heavy(1 << 20) {
		t.Run(tt.name, func(t *testing.T) {
			m := pooled(tt.b, 16<<10)
			defer m.Free()
			var view wire.InferRequest
			var err error
			if got := allocated(func() { view, err = m.InferRequest() }); err != nil || got > tt.scan {
				t.Errorf("the scan took %d bytes of %d allowed; %v", got, tt.scan, err)
			}
			var out *wire.Message
			if got := allocated(func() { out, err = view.Canonical() }); err != nil || got > tt.canonize {
				t.Fatalf("the canonical form took %d bytes of %d allowed; %v", got, tt.canonize, err)
			}
			out.Free()
		})
	}
}

// allocated is how many bytes f allocates, freed again or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
