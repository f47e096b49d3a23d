package score_test

import (
	"math"
	"testing"

	"github.com/sluice-gateway/sluice/bench/masking/corpus"
	"github.com/sluice-gateway/sluice/bench/masking/score"
)

// 0         1         2         3
// 0123456789012345678901234567890123456789
const text = "mail a@b.cc call 12345 x67 or 9999, no 4"

func doc() []corpus.Doc {
	return []corpus.Doc{{
		Text: text,
		Truth: []corpus.Span{
			{Start: 5, End: 11, Kind: "EMAIL"},
			{Start: 17, End: 22, Tail: 4, Kind: "PHONE"},
			{Start: 30, End: 34, Kind: "PHONE", Odd: "odd"},
		},
		Near: []corpus.Span{{Start: 39, End: 40, Kind: "int"}, {Start: 36, End: 38, Kind: "word"}},
	}}
}

func TestCompare(t *testing.T) {
	phone := score.Row{Kinds: []string{"PHONE"}, Entities: []string{"TEL"}}
	for _, c := range []struct {
		name  string
		found []score.Found
		want  score.Tally
		odd   int
	}{
		{"nothing", nil, score.Tally{Truths: 1}, 0},
		{"exact", []score.Found{{Start: 17, End: 22, Entity: "TEL"}}, score.Tally{Truths: 1, Hit: 1, HitExact: 1, Found: 1, Right: 1, RightSpan: 1}, 0},
		{"with its tail", []score.Found{{Start: 17, End: 26, Entity: "TEL"}}, score.Tally{Truths: 1, Hit: 1, HitExact: 1, Found: 1, Right: 1, RightSpan: 1}, 0},
		{"too long", []score.Found{{Start: 17, End: 27, Entity: "TEL"}}, score.Tally{Truths: 1, Hit: 1, Found: 1, Right: 1}, 0},
		{"a part", []score.Found{{Start: 18, End: 20, Entity: "TEL"}}, score.Tally{Truths: 1, Hit: 1, Found: 1, Right: 1}, 0},
		{"beside it", []score.Found{{Start: 22, End: 24, Entity: "TEL"}}, score.Tally{Truths: 1, Found: 1}, 0},
		{"as something else", []score.Found{{Start: 17, End: 22, Entity: "CARD"}}, score.Tally{Truths: 1}, 0},
		{"on something else", []score.Found{{Start: 5, End: 11, Entity: "TEL"}}, score.Tally{Truths: 1, Found: 1}, 0},
		{"in an unusual form", []score.Found{{Start: 30, End: 34, Entity: "TEL"}}, score.Tally{Truths: 1}, 1},
		{"two in one", []score.Found{{Start: 17, End: 19, Entity: "TEL"}, {Start: 20, End: 22, Entity: "TEL"}}, score.Tally{Truths: 1, Hit: 1, Found: 2, Right: 2}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := score.Compare(phone, doc(), [][]score.Found{c.found})
			if r.Tally != c.want {
				t.Errorf("%+v, want %+v", r.Tally, c.want)
			}
			if odd := r.Odd["odd"]; odd.Truths != 1 || odd.Hit != c.odd {
				t.Errorf("unusual: %+v, want %d hit", odd, c.odd)
			}
			if len(r.Missed) != c.want.Truths-c.want.Hit || len(r.Wrong) != c.want.Found-c.want.Right {
				t.Errorf("%d missed and %d wrong examples for %+v", len(r.Missed), len(r.Wrong), c.want)
			}
		})
	}
}

func TestRatios(t *testing.T) {
	tally := score.Tally{Truths: 4, Hit: 3, HitExact: 2, Found: 5, Right: 4, RightSpan: 1}
	for name, got := range map[string][2]float64{
		"recall":          {tally.Recall(), 0.75},
		"exact recall":    {tally.ExactRecall(), 0.5},
		"precision":       {tally.Precision(), 0.8},
		"exact precision": {tally.ExactPrecision(), 0.2},
	} {
		if got[0] != got[1] {
			t.Errorf("%s %v, want %v", name, got[0], got[1])
		}
	}
	if r := (score.Tally{}).Recall(); !math.IsNaN(r) {
		t.Errorf("recall of nothing is %v", r)
	}
}

func TestNearCountsOnlyTheEntitiesAsked(t *testing.T) {
	found := [][]score.Found{{{Start: 38, End: 40, Entity: "TEL"}, {Start: 35, End: 37, Entity: "URL"}}}
	near := score.Near(doc(), found, []string{"TEL"})
	if near["int"].Hit != 1 || near["word"].Hit != 0 || near["word"].Truths != 1 {
		t.Errorf("%+v", near)
	}
}

func TestCover(t *testing.T) {
	found := [][]score.Found{{{Start: 4, End: 8, Entity: "TEL"}, {Start: 22, End: 26, Entity: "TEL"}, {Start: 0, End: 40, Entity: "URL"}}}
	sensitive, covered, clean, taken := score.Cover(doc(), found, []string{"EMAIL", "PHONE"}, []string{"TEL"})
	if sensitive != 15 || covered != 3 || clean != len(text)-15-4 || taken != 1 {
		t.Errorf("%d of %d sensitive bytes, %d of %d clean ones", covered, sensitive, taken, clean)
	}
	sensitive, _, clean, _ = score.Cover(doc(), found, []string{"EMAIL"}, []string{"TEL"})
	if sensitive != 6 || clean != len(text)-15-4 {
		t.Errorf("what is not asked for counts: %d sensitive, %d clean", sensitive, clean)
	}
}
