package segment_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/segment"
)

func entries(n int) (all []audit.Entry) {
	for i := range n {
		r := &audit.Record{
			Replica: "r", Seq: uint64(100 + i), Kind: audit.KindCall, Subject: fmt.Sprint("s", i%7), Issuer: "i", Verb: "infer", Model: fmt.Sprint("m", i%3),
			Verdict: audit.Verdict(1 + i%2), Groups: []string{"g"}, Masked: map[string]int64{"EMAIL": 1},
		}
		b := r.Append(nil)
		e := audit.Entry{Record: r, Bytes: b, Leaf: merkle.Leaf(b)}
		if i == 5 {
			e.Payload = &audit.Payload{Words: []uint64{7, 9}}
		}
		all = append(all, e)
	}
	return all
}

func TestWhatIsPackedComesBackWholeOrInPart(t *testing.T) {
	all := entries(50)
	leaves, body := segment.Pack(all)
	for name, at := range map[string][]int{"whole": nil, "a part": {0, 5, 49}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			got, err := segment.Unpack(100, body, leaves, len(all), at)
			if err != nil {
				t.Fatal(err)
			}
			want := at
			if at == nil {
				want = make([]int, len(all))
				for i := range want {
					want[i] = i
				}
			}
			if len(got) != len(want) {
				t.Fatalf("%d entries, want %d", len(got), len(want))
			}
			for k, i := range want {
				if !bytes.Equal(got[k].Bytes, all[i].Bytes) || got[k].Leaf != all[i].Leaf || got[k].Place != uint64(100+i) {
					t.Errorf("entry %d is another", i)
				}
			}
		})
	}
}

// A record whose call is asked for is decoded, and few others.
func TestPlacesOfAText(t *testing.T) {
	all := entries(50)
	_, body := segment.Pack(all)
	for text, want := range map[string][]int{all[9].Record.Subject: {2, 9, 16, 23, 30, 37, 44}, "nowhere": {}} {
		if got := segment.Containing(body, len(all), text); !slices.Equal(got, want) || got == nil {
			t.Errorf("%q is in %v, want %v", text, got, want)
		}
	}
	for cut := range len(body) {
		if got := segment.Containing(body[:cut], len(all), "s2"); got != nil {
			t.Fatalf("cut to %d bytes it is in %v", cut, got)
		}
	}
}

func TestWhatIsDamagedIsAnErrorAndNoPanic(t *testing.T) {
	all := entries(10)
	leaves, body := segment.Pack(all)
	for cut := range len(body) {
		if _, err := segment.Unpack(0, body[:cut], leaves, len(all), nil); err == nil {
			t.Fatalf("cut to %d bytes it is taken", cut)
		}
	}
	if _, err := segment.Unpack(0, body, leaves[1:], len(all), nil); !errors.Is(err, segment.ErrDamaged) {
		t.Errorf("without all hashes: %v", err)
	}
	if got := segment.UnpackWords([]byte{1, 2, 3}); got != nil {
		t.Errorf("got %v", got)
	}
}

// TestEachQueryFindsTheSegmentOfWhatItAsksFor: every term of a query is among those of
// a record that matches it, with the record's place or with none.
func TestEachQueryFindsTheSegmentOfWhatItAsksFor(t *testing.T) {
	all := entries(50)
	at := make(map[int64][]byte)
	for _, p := range segment.Of(all) {
		at[p.Key] = p.At
	}
	for name, q := range map[string]audit.Query{
		"principal": {Principal: "s3"}, "with issuer": {Principal: "i#s3"}, "model": {Model: "m2"}, "verdict": {Verdict: audit.Denied},
		"entity": {Entity: "EMAIL"}, "group": {Group: "g"}, "two": {Principal: "s1", Model: "m1"},
	} {
		t.Run(name, func(t *testing.T) {
			for i, e := range all {
				if !q.Matches(e.Record) {
					continue
				}
				for _, set := range segment.For(&q) {
					if !slices.ContainsFunc(set, func(key int64) bool {
						places, there := at[key]
						where := segment.Places(places)
						return there && (where == nil || slices.Contains(where, i))
					}) {
						t.Errorf("record %d would not be found", i)
					}
				}
			}
		})
	}
	for _, set := range segment.For(&audit.Query{Words: [][]uint64{{1, 7}, {9}}}) {
		if !slices.ContainsFunc(set, func(key int64) bool { return slices.Equal(segment.Places(at[key]), []int{5}) }) {
			t.Error("words are not found")
		}
	}
}
