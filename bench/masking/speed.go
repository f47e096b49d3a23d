package main

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/bench/masking/corpus"
	"github.com/sluice-gateway/sluice/bench/report"
	"github.com/sluice-gateway/sluice/masking/detect"
)

const (
	chunkSize = 2 << 10
	// peerSize is the most that Presidio gets of a text in a round: it takes a
	// second or so for that.
	peerSize = 192 << 10
)

// speeds are the rounds' MB/s (10^6 bytes) of one text.
type speeds struct {
	whole, stream, peer []float64
}

// speed measures in interleaved rounds, and gives the tables.
func speed(o options, peer *presidio, m report.Machine) (string, error) {
	set, err := compile(common)
	if err != nil {
		return "", err
	}
	every, err := compile(gather(entity.known))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, commit %s, %s, %s, one core (GOMAXPROCS=%d), processor time, load average %s before. Medians of %d interleaved rounds (quartiles).\n\n",
		m.When.Format(time.DateOnly), o.commit, m.CPU, m.Go, runtime.GOMAXPROCS(0), m.Load, o.rounds)
	b.WriteString("| text | entities | Sluice, whole: MB/s | Sluice, stream: MB/s | Presidio: MB/s | stream × Presidio |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, mix := range []corpus.Mix{corpus.Mixed, corpus.Prose, corpus.Records} {
		text := corpus.Lines(o.part, o.seed, o.size, mix, common)
		s, err := race(o.rounds, text, set, peer)
		if err != nil {
			return "", err
		}
		s.row(&b, mix, "ten")
		s, err = race(o.rounds, text, every, nil)
		if err != nil {
			return "", err
		}
		s.row(&b, mix, fmt.Sprintf("all %d", every.Len()))
	}
	b.WriteString("\n")
	tokenCost(&b, o, set)
	delays(&b, o, map[string]*detect.Set{"ten": set, "all": every})
	return b.String(), nil
}

// row writes a line of the table.
func (s speeds) row(b *strings.Builder, mix corpus.Mix, entities string) {
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", mix, entities,
		spread(report.NewSpread(s.whole), "%.0f"), spread(report.NewSpread(s.stream), "%.0f"),
		spread(report.NewSpread(s.peer), "%.2f"), spread(report.Ratios(s.stream, s.peer), "%.0f"))
}

func spread(s report.Spread, format string) string {
	if s.N == 0 {
		return "–"
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.Median, s.Q1, s.Q3)
}

// race lets each take its turn in each round.
func race(rounds int, text string, set *detect.Set, peer *presidio) (speeds, error) {
	chunks := cut(text)
	size := min(peerSize, len(text)) / chunkSize * chunkSize
	if peer != nil {
		var texts []string
		for _, c := range chunks[:size/chunkSize] {
			texts = append(texts, strings.ToValidUTF8(string(c), ""))
		}
		if err := peer.load(texts, commonPresidio); err != nil {
			return speeds{}, err
		}
	}
	var s speeds
	for range rounds {
		s.whole = append(s.whole, rate(len(text), func() { findAll(set, chunks) }))
		s.stream = append(s.stream, rate(len(text), func() { streamAll(set, chunks) }))
		if peer == nil {
			s.peer = append(s.peer, math.NaN())
			continue
		}
		seconds, err := peer.seconds()
		if err != nil {
			return speeds{}, err
		}
		s.peer = append(s.peer, float64(size)/seconds/1e6)
	}
	return s, nil
}

// cut cuts a text into chunks, wherever that is.
func cut(text string) [][]byte {
	var chunks [][]byte
	for b := []byte(text); len(b) > 0; {
		n := min(chunkSize, len(b))
		chunks, b = append(chunks, b[:n]), b[n:]
	}
	return chunks
}

// rate is how many MB/s do takes for n bytes, after a warm-up and a collection.
func rate(n int, do func()) float64 {
	do()
	runtime.GC()
	begin := processorTime()
	do()
	return float64(n) / (processorTime() - begin).Seconds() / 1e6
}

// findAll takes each chunk for a whole text.
func findAll(set *detect.Set, chunks [][]byte) int {
	var matches []detect.Match
	n := 0
	for _, c := range chunks {
		matches = set.Find(c, matches[:0])
		n += len(matches)
	}
	return n
}

// streamAll takes all chunks for one text.
func streamAll(set *detect.Set, chunks [][]byte) int {
	st := set.NewStream()
	var events []detect.Event
	n := 0
	for _, c := range chunks {
		events = st.Write(c, events[:0])
		n += len(events)
	}
	return n + len(st.Flush(events[:0]))
}
