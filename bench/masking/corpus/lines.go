package corpus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Mix is what lines are made of.
type Mix int

// The mixes. Prose has few digits, Records are log and JSON lines and forms,
// full of near-misses; Mixed has as many lines of the one as of the other.
const (
	Prose Mix = iota
	Records
	Mixed
)

func (m Mix) String() string {
	return [...]string{"prose", "logs and records", "mixed"}[m]
}

// Lines makes a text of at least size bytes, one in a hundred of whose lines
// holds a value of one of kinds, and no other anything sensitive.
func Lines(part Part, seed uint64, size int, mix Mix, kinds []string) string {
	r := rand.New(rand.NewPCG(seed, uint64(mix)<<1|uint64(part)))
	clean, hit := pools(part, seed, mix, kinds)
	var b strings.Builder
	for b.Len() < size {
		pool := clean[r.IntN(len(clean))]
		if r.IntN(100) == 0 {
			pool = hit
		}
		b.WriteString(pick(r, pool) + "\n")
	}
	return b.String()
}

// pools gives the pools of clean lines that a mix has, equally often drawn from,
// and of lines with a value.
func pools(part Part, seed uint64, mix Mix, kinds []string) (clean [][]string, hit []string) {
	var records []string
	for _, d := range Generate(part, seed, 3000) {
		at := 0
		for line := range strings.Lines(d.Text) {
			inside := within(d.Truth, at, at+len(line))
			wanted := !slices.ContainsFunc(inside, func(s Span) bool { return s.Odd != "" || s.End > at+len(line) || !slices.Contains(kinds, s.Kind) })
			line = strings.TrimSuffix(line, "\n")
			switch {
			case len(inside) > 0 && wanted:
				hit = append(hit, line)
			case len(inside) == 0 && len(within(d.Near, at, at+len(line))) > 0:
				records = append(records, line)
			}
			at += len(line) + 1
		}
	}
	switch sentences := proseLines(); mix {
	case Prose:
		return [][]string{sentences}, hit
	case Records:
		return [][]string{records}, hit
	default:
		return [][]string{sentences, records}, hit
	}
}

// proseLines are all sentences; those in English more than once, as in the
// texts.
func proseLines() []string {
	all := slices.Repeat(prose()["en"], 3)
	for _, lang := range proseLanguages {
		all = append(all, prose()[lang]...)
	}
	return all
}

func within(spans []Span, from, to int) []Span {
	var in []Span
	for _, s := range spans {
		if s.Start < to && s.End > from {
			in = append(in, s)
		}
	}
	return in
}

// Tokens cuts a text as the tokenizer of a language model might: words into
// pieces of three to five bytes, a space at the front of the piece behind it,
// runs of digits into at most three, everything else by the character. English
// is meant: a real tokenizer cuts other scripts finer.
func Tokens(text string, seed uint64) []string {
	r := rand.New(rand.NewPCG(seed, 0))
	var all []string
	for len(text) > 0 {
		n := 0
		if text[0] == ' ' {
			n = 1
		}
		n += firstPiece(text[n:], r)
		all = append(all, text[:n])
		text = text[n:]
	}
	return all
}

// firstPiece is the length of the first piece of a text, without a leading space.
func firstPiece(text string, r *rand.Rand) int {
	letters := len(text) - len(strings.TrimLeft(text, upper+lower))
	if letters > 0 {
		want := 3 + r.IntN(3)
		if letters < want+2 { // no crumbs
			return letters
		}
		return want
	}
	if n := len(text) - len(strings.TrimLeft(text, digits)); n > 0 {
		return min(n, 3)
	}
	for i := range text {
		if i > 0 {
			return i
		}
	}
	return len(text)
}

// Sentences is prose of at least size bytes, with nothing sensitive in it, in
// English only or in all languages of the corpus.
func Sentences(seed uint64, size int, english bool) string {
	r := rand.New(rand.NewPCG(seed, 2))
	pool := proseLines()
	if english {
		pool = prose()["en"]
	}
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%s ", pick(r, pool))
	}
	return b.String()
}
