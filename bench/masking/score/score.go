// Package score compares what a detector found with what is in a text.
//
// Recall counts what was there: how much of it was found. Precision counts what
// was found: how much of it was there. Both come in two strengths: overlap asks
// for a byte in common, exact for the same beginning and end. Values written in
// unusual forms are counted apart, by form, and are neither right nor wrong
// elsewhere.
package score

import (
	"slices"

	"github.com/sluice-gateway/sluice/bench/masking/corpus"
)

// Found is a span that a detector found, in bytes.
type Found struct {
	Start, End int
	Entity     string
	Score      float64
}

// Row is one line of a table: what the corpus calls a thing and what it is for a
// detector. No entities: the detector does not have it.
type Row struct {
	Name            string
	Kinds, Entities []string
}

// Tally counts.
type Tally struct {
	Truths, Hit, HitExact   int
	Found, Right, RightSpan int
}

// Recall is how much of what was there was found; NaN where nothing was.
func (t Tally) Recall() float64 { return ratio(t.Hit, t.Truths) }

// ExactRecall is that of spans with the same ends.
func (t Tally) ExactRecall() float64 { return ratio(t.HitExact, t.Truths) }

// Precision is how much of what was found was there; NaN where nothing was.
func (t Tally) Precision() float64 { return ratio(t.Right, t.Found) }

// ExactPrecision is that of spans with the same ends.
func (t Tally) ExactPrecision() float64 { return ratio(t.RightSpan, t.Found) }

func ratio(a, b int) float64 { return float64(a) / float64(b) }

// Example is a text with something wrong in it.
type Example struct {
	Doc  *corpus.Doc
	Span corpus.Span
	// Entity is what was wrongly found there, "" where Span was missed.
	Entity string
}

// Result is the comparison of one row.
type Result struct {
	Tally
	// Odd counts the truths in unusual forms, by form.
	Odd    map[string]Tally
	Missed []Example
	Wrong  []Example
}

// Compare compares found[i] with docs[i].
func Compare(row Row, docs []corpus.Doc, found [][]Found) Result {
	r := Result{Odd: make(map[string]Tally)}
	for i := range docs {
		r.doc(row, &docs[i], found[i])
	}
	return r
}

func (r *Result) doc(row Row, d *corpus.Doc, all []Found) {
	mine := keep(all, func(f Found) bool { return slices.Contains(row.Entities, f.Entity) })
	truths := keep(d.Truth, func(s corpus.Span) bool { return slices.Contains(row.Kinds, s.Kind) })
	for _, s := range truths {
		hit := slices.ContainsFunc(mine, func(f Found) bool { return overlap(f, s) })
		exact := slices.ContainsFunc(mine, func(f Found) bool { return same(f, s) })
		if s.Odd != "" {
			t := r.Odd[s.Odd]
			t.truth(hit, exact)
			r.Odd[s.Odd] = t
			continue
		}
		r.truth(hit, exact)
		if !hit {
			r.Missed = append(r.Missed, Example{Doc: d, Span: s})
		}
	}
	for _, f := range mine {
		r.found(d, f, truths)
	}
}

func (t *Tally) truth(hit, exact bool) {
	t.Truths++
	if hit {
		t.Hit++
	}
	if exact {
		t.HitExact++
	}
}

// found judges one span that was found. What lies on a value in an unusual form
// is right, but not counted here.
func (r *Result) found(d *corpus.Doc, f Found, truths []corpus.Span) {
	at := slices.IndexFunc(truths, func(s corpus.Span) bool { return overlap(f, s) })
	if at >= 0 && truths[at].Odd != "" {
		return
	}
	r.Found++
	if at < 0 {
		r.Wrong = append(r.Wrong, Example{Doc: d, Span: corpus.Span{Start: f.Start, End: f.End}, Entity: f.Entity})
		return
	}
	r.Right++
	if slices.ContainsFunc(truths, func(s corpus.Span) bool { return same(f, s) }) {
		r.RightSpan++
	}
}

// Near counts, for each kind of near-miss, how many there are and how many of
// them something was found in that is one of entities.
func Near(docs []corpus.Doc, found [][]Found, entities []string) map[string]Tally {
	all := make(map[string]Tally)
	for i := range docs {
		for _, s := range docs[i].Near {
			t := all[s.Kind]
			t.truth(slices.ContainsFunc(found[i], func(f Found) bool {
				return overlap(f, s) && slices.Contains(entities, f.Entity)
			}), false)
			all[s.Kind] = t
		}
	}
	return all
}

// Cover counts bytes: of what is sensitive, how many are within something found,
// whatever it is called; and of the rest how many are. Tails count as neither.
func Cover(docs []corpus.Doc, found [][]Found, kinds, entities []string) (sensitive, covered, clean, taken int) {
	for i := range docs {
		marks := make([]byte, len(docs[i].Text))
		for _, s := range docs[i].Truth {
			mark(marks, s.Start, s.End, 1)
			mark(marks, s.End, s.End+s.Tail, 4)
			if !slices.Contains(kinds, s.Kind) {
				mark(marks, s.Start, s.End, 4)
			}
		}
		for _, f := range found[i] {
			if slices.Contains(entities, f.Entity) {
				mark(marks, f.Start, f.End, 2)
			}
		}
		for _, m := range marks {
			switch m {
			case 0:
				clean++
			case 1:
				sensitive++
			case 2:
				clean, taken = clean+1, taken+1
			case 3:
				sensitive, covered = sensitive+1, covered+1
			}
		}
	}
	return sensitive, covered, clean, taken
}

func mark(marks []byte, from, to int, bit byte) {
	for i := from; i < to; i++ {
		marks[i] |= bit
	}
}

func overlap(f Found, s corpus.Span) bool { return f.Start < s.End && s.Start < f.End }

func same(f Found, s corpus.Span) bool {
	return f.Start == s.Start && f.End >= s.End && f.End <= s.End+s.Tail
}

func keep[T any](all []T, want func(T) bool) []T {
	var kept []T
	for _, v := range all {
		if want(v) {
			kept = append(kept, v)
		}
	}
	return kept
}
