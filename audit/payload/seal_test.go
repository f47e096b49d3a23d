package payload_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
)

// kept captures and keeps one text.
func kept(t *testing.T, k *payload.Keeper, s *shelf, text string) *audit.PayloadRef {
	t.Helper()
	c := k.Begin("m", infer, "", opened)
	c.Answer(message(t, response(text)))
	sealed := await(c, true)
	if sealed.Payload == nil {
		t.Fatalf("lost: %v", sealed.Lost)
	}
	s.put(sealed.Payload)
	return sealed.Ref
}

// find tells which payloads a query for words would give.
func find(s *shelf, words [][]uint64) (ids []string) {
	for id, p := range s.payloads {
		if !slices.ContainsFunc(words, func(one []uint64) bool {
			return !slices.ContainsFunc(one, func(h uint64) bool { _, ok := slices.BinarySearch(p.Words, h); return ok })
		}) {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestShred: a day's key that is deleted takes the day's payloads and its words
// with it, also those of a copy that somebody made of the store before.
func TestShred(t *testing.T) {
	now := &clock{now: opened}
	k, s := keeper(t, func(o *payload.Options) { o.Now = now.Now })
	old := kept(t, k, s, "the old secret garden")
	now.add(10 * time.Second) // another day
	young := kept(t, k, s, "the young secret garden")
	if len(s.keys) != 2 {
		t.Fatalf("%d keys, want one for each day", len(s.keys))
	}
	r := reader(t, s, newWrap(t, 1), nil)
	search := func(text string) int {
		words, closed, err := r.Words(t.Context(), text)
		if err != nil || closed != 0 {
			t.Fatal(err, closed)
		}
		return len(find(s, words))
	}
	if search("Secret, GARDEN!") != 2 || search("old garden") != 1 || search("oldest") != 0 {
		t.Error("words are not found")
	}
	midnight := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	copied := maps.Clone(s.payloads)
	if n, err := k.Shred(t.Context(), midnight.Add(-time.Nanosecond)); n != 0 || err != nil {
		t.Errorf("%d keys are deleted before their day is over, %v", n, err)
	}
	if n, err := k.Shred(t.Context(), midnight); n != 1 || err != nil {
		t.Fatalf("%d keys are deleted, %v, want 1", n, err)
	}
	if _, err := r.Open(t.Context(), old); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("opened after its time: %v", err)
	}
	s.payloads = copied
	if _, err := r.Open(t.Context(), old); !errors.Is(err, payload.ErrShredded) {
		t.Errorf("a copy opens after its time: %v", err)
	}
	if search("old garden") != 0 || search("secret garden") != 1 {
		t.Error("words of a deleted day are found, or those of another are not")
	}
	if _, err := r.Open(t.Context(), young); err != nil {
		t.Errorf("another day's does not open: %v", err)
	}
	again := reader(t, s, newWrap(t, 1), nil)
	if _, err := again.Open(t.Context(), old); !errors.Is(err, payload.ErrShredded) {
		t.Errorf("opened by another process: %v", err)
	}
}

func TestOneKeyADay(t *testing.T) {
	now := &clock{now: opened}
	k, s := keeper(t, func(o *payload.Options) { o.Now = now.Now })
	kept(t, k, s, "x")
	kept(t, k, s, "y")
	// A process that starts again goes on with the day's key.
	again, _ := keeper(t, func(o *payload.Options) { o.Now, o.Store = now.Now, s })
	ref := kept(t, again, s, "z")
	if len(s.keys) != 1 {
		t.Errorf("%d keys, want 1", len(s.keys))
	}
	other, _ := keeper(t, func(o *payload.Options) { o.Now, o.Store, o.Replica = now.Now, s, "b" })
	kept(t, other, s, "z")
	if len(s.keys) != 2 {
		t.Errorf("%d keys, want one for each replica", len(s.keys))
	}
	if _, err := reader(t, s, newWrap(t, 1), nil).Open(t.Context(), ref); err != nil {
		t.Error(err)
	}
}

// TestTampered: what is not what the record was written with does not open.
func TestTampered(t *testing.T) {
	k, s := keeper(t, nil)
	a, b := kept(t, k, s, "a"), kept(t, k, s, "b")
	tests := []struct {
		name   string
		change func(a, b audit.Payload) audit.Payload
		ref    func(r audit.PayloadRef) audit.PayloadRef
		sealer byte
		want   error
	}{
		{"as it was", nil, nil, 1, nil},
		{"a byte", func(a, _ audit.Payload) audit.Payload { a.Body = slices.Clone(a.Body); a.Body[20] ^= 1; return a }, nil, 1, payload.ErrSealed},
		{"another's", func(_, b audit.Payload) audit.Payload { return b }, nil, 1, payload.ErrSealed},
		{"another's, and the record with it", func(_, b audit.Payload) audit.Payload { return b }, func(r audit.PayloadRef) audit.PayloadRef { r.Digest = b.Digest; return r }, 1, payload.ErrSealed},
		{"cut", func(a, _ audit.Payload) audit.Payload { a.Body = a.Body[:10]; return a }, nil, 1, payload.ErrSealed},
		{"another keyring", nil, nil, 2, errAny},
		{"a record without one", nil, func(audit.PayloadRef) audit.PayloadRef { return audit.PayloadRef{} }, 1, audit.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := newShelf()
			stored.keys = s.keys
			p, ref := s.payloads[a.ID], *a
			if tt.change != nil {
				p = tt.change(p, s.payloads[b.ID])
				p.ID = a.ID
			}
			if tt.ref != nil {
				ref = tt.ref(ref)
			}
			stored.put(&p)
			_, err := reader(t, stored, newWrap(t, tt.sealer), nil).Open(t.Context(), &ref)
			if tt.want == errAny && err == nil || tt.want != errAny && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	// A key under another's id is not that other's key.
	swapped := newShelf()
	swapped.payloads = s.payloads
	for id, key := range s.keys {
		swapped.keys["2020-01-01/a"] = audit.Key{ID: "2020-01-01/a", Sealed: key.Sealed}
		_ = id
	}
	if _, closed, err := reader(t, swapped, newWrap(t, 1), nil).Words(t.Context(), "a b c d"); err != nil || closed != 1 {
		t.Errorf("%d keys do not open, %v, want 1", closed, err)
	}
}

var errAny = errors.New("any")

// TestLookUp: a value that was masked is found by itself, however it is written,
// and is not kept.
func TestLookUp(t *testing.T) {
	marker := payload.NewMarker([]byte("a key of at least thirty-two bytes."))
	k, s := keeper(t, func(o *payload.Options) { o.Marker = marker })
	kept(t, k, s, "pay with "+card+", write to "+email)
	kept(t, k, s, "nothing")
	r := reader(t, s, newWrap(t, 1), marker)
	tests := []struct {
		value string
		want  int
	}{
		{card, 1},
		{"4111-1111-1111-1111", 1},
		{"4111111111111111", 1},
		{"４１１１ 1111 1111 1111", 1},
		{"4242 4242 4242 4242", 0},
		{email, 1},
		{"Jane.Doe@Example.COM", 1},
		{"janedoe@example.com", 0},
		{"nothing", 0},
	}
	for _, tt := range tests {
		words, ok := r.LookUp(tt.value)
		if got := len(find(s, words)); !ok || got != tt.want {
			t.Errorf("%q is in %d records, want %d", tt.value, got, tt.want)
		}
	}
	other, _ := reader(t, s, newWrap(t, 1), payload.NewMarker([]byte("another key of more than 32 bytes.."))).LookUp(card)
	if len(find(s, other)) != 0 {
		t.Error("found with another key")
	}
	if _, ok := reader(t, s, newWrap(t, 1), nil).LookUp(card); ok {
		t.Error("looked up without a key")
	}
}

// TestWordsAcrossChunks: a word that a stream cuts is a word; one that is masked
// is not.
func TestWordsAcrossChunks(t *testing.T) {
	k, s := keeper(t, nil)
	c := k.Begin("m", infer, "", opened)
	c.Request(request(t, "Wer suchet, der findet: Straße"))
	for _, text := range []string{"inter", "national jane.d", "oe@example.com"} {
		c.Stream(chunk(t, text), opened)
	}
	sealed := await(c, true)
	s.put(sealed.Payload)
	r := reader(t, s, newWrap(t, 1), nil)
	for text, want := range map[string]int{"international": 1, "inter": 0, "STRASSE": 0, "straße findet": 1, "jane": 0, "example": 0, "email": 1} {
		words, _, err := r.Words(t.Context(), text)
		if got := len(find(s, words)); err != nil || got != want {
			t.Errorf("%q is found in %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestWordsAreBounded(t *testing.T) {
	k, s := keeper(t, nil)
	text := ""
	for i := range 2000 {
		text += " w" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
	}
	ref := kept(t, k, s, text)
	if n := len(s.payloads[ref.ID].Words); n != payload.MaxWords {
		t.Errorf("%d words, want %d", n, payload.MaxWords)
	}
	off, s2 := keeper(t, func(o *payload.Options) { o.Words = false })
	if ref := kept(t, off, s2, text); len(s2.payloads[ref.ID].Words) != 0 {
		t.Error("words are kept though they are off")
	}
}

// TestMarked: what was masked before it could be captured is found too, also where
// nothing else is kept, or what was captured is lost.
func TestMarked(t *testing.T) {
	marker := payload.NewMarker([]byte("a key of at least thirty-two bytes."))
	k, s := keeper(t, func(o *payload.Options) { o.Marker = marker })
	r := reader(t, s, newWrap(t, 1), marker)
	mark := marker.Mark(card)
	c := k.Begin("m", infer, "", opened)
	c.Marks([]uint64{mark})
	c.Answer(message(t, response("[CARD]")))
	lost := k.Begin("m", infer, "", opened)
	lost.Marks([]uint64{mark})
	lost.Drop()
	all := []payload.Sealed{await(c, true), await(lost, true), k.Marked([]uint64{mark})}
	for i, sealed := range all {
		if sealed.Payload == nil || sealed.Ref.ID != sealed.Payload.ID {
			t.Fatalf("%d: %+v", i, sealed)
		}
		s.put(sealed.Payload)
		if _, err := r.Open(t.Context(), sealed.Ref); (err == nil) != (i == 0) || i > 0 && !errors.Is(err, audit.ErrNotFound) {
			t.Errorf("%d: opened, %v", i, err)
		}
	}
	words, _ := r.LookUp("4111-1111-1111-1111")
	if got := len(find(s, words)); got != len(all) {
		t.Errorf("found in %d, want %d", got, len(all))
	}
	var none *payload.Keeper
	if none.Marked([]uint64{1}) != (payload.Sealed{}) || k.Marked(nil) != (payload.Sealed{}) {
		t.Error("something is kept of nothing")
	}
}
