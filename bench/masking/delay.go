package main

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/bench/masking/corpus"
	"github.com/sluice-gateway/sluice/bench/report"
	"github.com/sluice-gateway/sluice/masking/detect"
)

// tokenCost writes what a clean token of four bytes costs a stream.
func tokenCost(b *strings.Builder, o options, set *detect.Set) {
	text := []byte(corpus.Sentences(o.seed, o.size/8, true))
	st, events, tokens := set.NewStream(), make([]detect.Event, 0, 16), len(text)/4
	pass := func() {
		for i := range tokens {
			events = st.Write(text[4*i:4*i+4], events[:0])
		}
		events = st.Flush(events[:0])
	}
	pass()
	var took []float64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range o.rounds {
		begin := processorTime()
		pass()
		took = append(took, float64((processorTime()-begin).Nanoseconds())/float64(tokens))
	}
	runtime.ReadMemStats(&after)
	fmt.Fprintf(b, "A clean token of 4 bytes, English prose, ten entities: %s ns, %.3f allocations (of the detectors' stream alone, without the message around it).\n\n",
		spread(report.NewSpread(took), "%.0f"), float64(after.Mallocs-before.Mallocs)/float64(o.rounds*tokens))
}

// delays writes how many tokens later than they came tokens leave.
func delays(b *strings.Builder, o options, sets map[string]*detect.Set) {
	b.WriteString("| token stream | entities | tokens | delay in tokens: median | p90 | p99 | max |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	var texts strings.Builder
	for _, d := range corpus.Generate(o.part, o.seed, 3000) {
		if d.Style == "chat" || d.Style == "mail" || d.Style == "ticket" {
			texts.WriteString(d.Text + "\n\n")
		}
	}
	for _, stream := range []struct{ name, text string }{
		{"prose, English", corpus.Sentences(o.seed, o.size/8, true)},
		{"prose, ten languages", corpus.Sentences(o.seed, o.size/8, false)},
		{"mails, tickets and chats, full of values", texts.String()},
	} {
		tokens := corpus.Tokens(stream.text, o.seed)
		for _, name := range slices.Sorted(maps.Keys(sets)) {
			all := delay(sets[name], tokens)
			fmt.Fprintf(b, "| %s | %s | %d | %d | %d | %d | %d |\n", stream.name, name, len(tokens),
				all[len(all)/2], all[len(all)*9/10], all[len(all)*99/100], all[len(all)-1])
		}
	}
	b.WriteString("\n")
}

// delay gives for each token how many more had to come until the last of it was
// decided on; sorted. What waits for the end of the text waits for one more.
func delay(set *detect.Set, tokens []string) []int {
	st := set.NewStream()
	var all, ends []int // ends of the tokens that are held
	var events []detect.Event
	end, first := 0, 0
	release := func(now int) {
		for _, e := range events {
			for len(ends) > 0 && ends[0] <= e.End() {
				all, ends = append(all, now-first), ends[1:]
				first++
			}
		}
	}
	for i, t := range tokens {
		end += len(t)
		ends = append(ends, end)
		events = st.Write([]byte(t), events[:0])
		release(i)
	}
	events = st.Flush(events[:0])
	release(len(tokens))
	slices.Sort(all)
	return all
}
