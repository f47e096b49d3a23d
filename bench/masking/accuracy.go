package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/bench/masking/corpus"
	"github.com/sluice-gateway/sluice/bench/masking/score"
)

// sure is the score from which on a user of Presidio would believe it; it asks
// for none by itself, and its weakest patterns are any nine digits.
const sure = 0.4

// finder is one column: what was found, and which entities it has for a line.
type finder struct {
	name  string
	found [][]score.Found
	of    func(entity) []string
	brief bool // without the exact forms
}

// accuracy compares all with the corpus, and gives the tables.
func accuracy(o options, peer *presidio) (string, error) {
	docs := corpus.Generate(o.part, o.seed, o.docs)
	set, err := compile(gather(entity.known))
	if err != nil {
		return "", err
	}
	columns := []finder{{name: "Sluice", found: find(set, docs), of: entity.known}}
	if peer != nil {
		texts := make([]string, len(docs))
		for i := range docs {
			texts[i] = docs[i].Text
		}
		found, err := peer.analyze(texts, gather(presidioOf))
		if err != nil {
			return "", err
		}
		columns = append(columns, finder{name: "Presidio", found: found, of: presidioOf},
			finder{name: "Presidio ≥ 0.4", found: certain(found), of: presidioOf, brief: true})
	}
	var b strings.Builder
	version := "not installed"
	if peer != nil {
		version = peer.version
	}
	fmt.Fprintf(&b, "Commit %s, Presidio %s, %d texts (%d bytes) of the %s part, seed %d.\n\n", o.commit, version, len(docs), size(docs), o.part, o.seed)
	perEntity(&b, docs, columns)
	oddForms(&b, docs, columns)
	nearMisses(&b, docs, columns)
	if o.examples > 0 {
		mistakes(&b, docs, columns[0], o.examples)
	}
	return b.String(), nil
}

func size(docs []corpus.Doc) int {
	n := 0
	for i := range docs {
		n += len(docs[i].Text)
	}
	return n
}

// certain leaves out what is below the score.
func certain(found [][]score.Found) [][]score.Found {
	kept := make([][]score.Found, len(found))
	for i := range found {
		for _, f := range found[i] {
			if f.Score >= sure {
				kept[i] = append(kept[i], f)
			}
		}
	}
	return kept
}

func (f finder) row(e entity) score.Row {
	return score.Row{Name: e.name, Kinds: e.kinds, Entities: f.of(e)}
}

// perEntity writes precision and recall, overlap and exact.
func perEntity(b *strings.Builder, docs []corpus.Doc, columns []finder) {
	b.WriteString("| entity | values |")
	for _, c := range columns {
		for _, measure := range c.measures() {
			fmt.Fprintf(b, " %s: %s |", c.name, measure.name)
		}
	}
	b.WriteString("\n| --- | --- |")
	for _, c := range columns {
		b.WriteString(strings.Repeat(" --- |", len(c.measures())))
	}
	b.WriteString("\n")
	for _, e := range entities {
		fmt.Fprintf(b, "| %s | %d |", e.name, score.Compare(columns[0].row(e), docs, columns[0].found).Truths)
		for _, c := range columns {
			t := score.Compare(c.row(e), docs, c.found).Tally
			for _, measure := range c.measures() {
				if len(c.of(e)) == 0 {
					b.WriteString(" – |")
					continue
				}
				fmt.Fprintf(b, " %s |", percent(measure.of(t)))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	shared := slices.DeleteFunc(slices.Clone(entities), func(e entity) bool { return len(e.known()) == 0 || len(e.presidio) == 0 })
	coverage(b, docs, columns, "entities that both have", shared)
	coverage(b, docs, columns, "all entities", entities)
	b.WriteString("\n")
}

// measure is a column of numbers.
type measure struct {
	name string
	of   func(score.Tally) float64
}

func (f finder) measures() []measure {
	if f.brief {
		return []measure{{"recall", score.Tally.Recall}, {"precision", score.Tally.Precision}}
	}
	return []measure{
		{"recall", score.Tally.Recall},
		{"exact", score.Tally.ExactRecall},
		{"precision", score.Tally.Precision},
		{"exact", score.Tally.ExactPrecision},
	}
}

// coverage writes how much of the sensitive and of the other bytes is taken,
// under whatever name.
func coverage(b *strings.Builder, docs []corpus.Doc, columns []finder, what string, lines []entity) {
	var kinds []string
	for _, e := range lines {
		kinds = append(kinds, e.kinds...)
	}
	fmt.Fprintf(b, "- Bytes, %s:", what)
	for i, c := range columns {
		var names []string
		for _, e := range lines {
			names = append(names, c.of(e)...)
		}
		sensitive, covered, clean, taken := score.Cover(docs, c.found, kinds, names)
		fmt.Fprintf(b, "%s %s takes %s %% of what is sensitive and %.2f %% of the rest",
			[]string{"", ";"}[min(i, 1)], c.name, percent(float64(covered)/float64(sensitive)), 100*float64(taken)/float64(clean))
	}
	b.WriteString(".\n")
}

// oddForms writes the recall of values in unusual forms.
func oddForms(b *strings.Builder, docs []corpus.Doc, columns []finder) {
	shared := slices.DeleteFunc(slices.Clone(entities), func(e entity) bool { return len(e.known()) == 0 || len(e.presidio) == 0 })
	tallies := make([]map[string]score.Tally, len(columns))
	for i, c := range columns {
		tallies[i] = make(map[string]score.Tally)
		for _, e := range shared {
			for form, t := range score.Compare(c.row(e), docs, c.found).Odd {
				sum := tallies[i][form]
				sum.Truths, sum.Hit = sum.Truths+t.Truths, sum.Hit+t.Hit
				tallies[i][form] = sum
			}
		}
	}
	b.WriteString("| unusual form | values |" + heads(columns, "recall") + "\n")
	for _, form := range slices.Sorted(maps.Keys(tallies[0])) {
		fmt.Fprintf(b, "| %s | %d |", form, tallies[0][form].Truths)
		for i := range columns {
			fmt.Fprintf(b, " %s |", percent(tallies[i][form].Recall()))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// nearMisses writes how many of them each takes for something sensitive; those
// that nobody does are summed.
func nearMisses(b *strings.Builder, docs []corpus.Doc, columns []finder) {
	tallies := make([]map[string]score.Tally, len(columns))
	for i, c := range columns {
		tallies[i] = score.Near(docs, c.found, gather(c.of))
	}
	b.WriteString("| near-miss | values |" + heads(columns, "taken") + "\n")
	rest, kinds := 0, 0
	for _, kind := range slices.Sorted(maps.Keys(tallies[0])) {
		n := tallies[0][kind].Truths
		if !slices.ContainsFunc(tallies, func(t map[string]score.Tally) bool { return t[kind].Hit > 0 }) {
			rest, kinds = rest+n, kinds+1
			continue
		}
		fmt.Fprintf(b, "| %s | %d |", kind, n)
		for i := range columns {
			fmt.Fprintf(b, " %s |", percent(tallies[i][kind].Recall()))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(b, "| %d other kinds | %d |%s\n\n", kinds, rest, strings.Repeat(" 0 |", len(columns)))
}

// heads are the heads of one column for each finder, and the line below.
func heads(columns []finder, what string) string {
	var head strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&head, " %s: %s |", c.name, what)
	}
	return head.String() + "\n| --- | --- |" + strings.Repeat(" --- |", len(columns))
}

// mistakes writes examples of what was missed and of what was wrongly found.
func mistakes(b *strings.Builder, docs []corpus.Doc, c finder, n int) {
	for _, e := range entities {
		if len(c.of(e)) == 0 {
			continue
		}
		r := score.Compare(c.row(e), docs, c.found)
		for _, group := range []struct {
			name string
			all  []score.Example
		}{{"missed", r.Missed}, {"wrong", r.Wrong}} {
			if len(group.all) > 0 {
				fmt.Fprintf(b, "%s: %d %s\n", e.name, len(group.all), group.name)
			}
			for _, x := range group.all[:min(n, len(group.all))] {
				fmt.Fprintf(b, "  %s %s\n", cmp.Or(x.Entity, x.Span.Kind), around(x))
			}
		}
	}
}

// around quotes an example with some of what stands around it.
func around(x score.Example) string {
	const margin = 40
	text, s := x.Doc.Text, x.Span
	return fmt.Sprintf("%q «%s» %q", text[max(0, s.Start-margin):s.Start], text[s.Start:s.End], text[s.End:min(len(text), s.End+margin)])
}

// percent writes a share; only what is all or nothing is written 100 or 0.
func percent(share float64) string {
	switch {
	case math.IsNaN(share):
		return "–"
	case share == 0 || share == 1:
		return fmt.Sprint(100 * share)
	}
	if text := fmt.Sprintf("%.1f", 100*share); text != "100.0" && text != "0.0" {
		return text
	}
	return fmt.Sprintf("%.2f", 100*share)
}
