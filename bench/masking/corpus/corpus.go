package corpus

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Part is a half of the corpus.
type Part int

// The parts: they share no template, and some formats are only HeldOut.
const (
	Development Part = iota
	HeldOut
)

func (p Part) String() string {
	return [...]string{"development", "held-out"}[p]
}

// Span is a stretch of a text, in bytes.
type Span struct {
	Start, End int
	// Tail is how many bytes behind End may count with it or not: an extension
	// of a telephone number, the length of an IP network.
	Tail int
	// Kind is the entity of what is sensitive, the name of a near-miss otherwise.
	Kind string
	// Odd names the unusual form that the value was given, "" for the usual.
	Odd string
}

// Doc is a text and what is in it.
type Doc struct {
	ID, Style, Text string
	// Truth is what ought to be found, in order.
	Truth []Span
	// Near is what looks sensitive and is not, in order.
	Near []Span
}

// oddShare is one in how many values is written in an unusual form.
const oddShare = 12

// Generate makes n texts. Each depends on part, seed and its own number only.
func Generate(part Part, seed uint64, n int) []Doc {
	docs := make([]Doc, n)
	for i := range docs {
		r := rand.New(rand.NewPCG(seed<<1|uint64(part), uint64(i)))
		docs[i] = newWriter(r, part).doc(fmt.Sprintf("%s-%d-%d", part, seed, i))
	}
	return docs
}

// writer writes one text.
type writer struct {
	source
	text strings.Builder
	out  Doc
}

func newWriter(r *rand.Rand, part Part) *writer {
	return &writer{source: source{Rand: r, held: part == HeldOut}}
}

// doc writes a template, mostly with prose before or behind it: what a detector
// knows of a value's surroundings should not always be at hand.
func (w *writer) doc(id string) Doc {
	all := templates(w.held)
	t := all[w.IntN(len(all))]
	w.out.ID, w.out.Style = id, t.style
	before, behind := w.IntN(3), w.IntN(3)
	if t.style == "json" || t.style == "log" || t.style == "config" {
		before, behind = 0, 0
	}
	for range before {
		w.text.WriteString(w.sentence() + "\n")
	}
	w.fill(t)
	for range behind {
		w.text.WriteString("\n" + w.sentence())
	}
	w.out.Text = w.text.String()
	return w.out
}

// fill writes a template with its blanks filled in.
func (w *writer) fill(t template) {
	for _, p := range t.pieces {
		start := w.text.Len()
		switch {
		case p.kind == "":
			w.text.WriteString(p.text)
		case p.truth:
			w.truth(t, p)
		case p.near:
			w.text.WriteString(w.near(p.kind))
			w.out.Near = append(w.out.Near, Span{Start: start, End: w.text.Len(), Kind: p.kind})
		default:
			w.text.WriteString(w.word(p.kind))
		}
	}
}

// truth writes a value of an entity and notes where.
func (w *writer) truth(t template, p piece) {
	v := w.value(p.kind, p.arg)
	odd := ""
	if w.IntN(oddShare) == 0 {
		v, odd = w.distort(v, p.kind, t.style == "json")
	}
	start := w.text.Len()
	w.text.WriteString(v.before + v.text)
	start += len(v.before)
	w.out.Truth = append(w.out.Truth, Span{Start: start, End: w.text.Len(), Tail: len(v.tail), Kind: p.kind, Odd: odd})
	w.text.WriteString(v.tail + v.behind)
}

// sentence is one of prose, in English more often than in any other language.
func (w *writer) sentence() string {
	lang := "en"
	if w.IntN(3) == 0 {
		lang = pick(w.Rand, proseLanguages)
	}
	return pick(w.Rand, prose()[lang])
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
