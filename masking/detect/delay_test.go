package detect_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/masking/detect"
)

// tokens cuts a text as a model's tokenizer would: words with the space before
// them, long ones in pieces, marks and digits apart.
func tokens(rng *rand.Rand, text []byte) [][]byte {
	var all [][]byte
	letter := func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
	for i := 0; i < len(text); {
		k := i + 1
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			for k < len(text) && k-i < 3 && text[k] >= '0' && text[k] <= '9' {
				k++
			}
		case c == ' ' || letter(c):
			most := 64
			if rng.IntN(5) == 0 { // one word in five is in pieces
				most = 2 + rng.IntN(3)
			}
			for k < len(text) && k-i < most && letter(text[k]) {
				k++
			}
		}
		all = append(all, text[i:k])
		i = k
	}
	return all
}

// delays says for each token of a stream how many more had to come before all
// of it was given out, in order of size.
func delays(set *detect.Set, all [][]byte) []int {
	var (
		st       = set.NewStream()
		events   []detect.Event
		ends     []int // where tokens end that are not given out
		in, out  int
		measured []int
	)
	for _, token := range all {
		in += len(token)
		ends = append(ends, in)
		events = st.Write(token, events[:0])
		for _, ev := range events {
			out = ev.End()
		}
		for len(ends) > 0 && ends[0] <= out {
			measured = append(measured, len(ends)-1)
			ends = ends[1:]
		}
	}
	slices.Sort(measured)
	return measured
}

// TestDelay holds what a reader of a stream of prose waits for to a token in
// the median, and three in 99 of 100.
func TestDelay(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	text := prose(rng, 1<<20, 0)
	all := tokens(rng, text)
	for name, set := range map[string]*detect.Set{"common": setOf(t, common...), "everything": everything(t)} {
		t.Run(name, func(t *testing.T) {
			got := delays(set, all)
			n := len(got)
			median, p99, most := got[n/2], got[n*99/100], got[n-1]
			t.Logf("%d tokens: median %d, 99 of 100 %d, most %d tokens", n, median, p99, most)
			if median > 1 || p99 > 3 {
				t.Errorf("median %d, 99 of 100 %d; may be 1 and 3", median, p99)
			}
		})
	}
}

// TestTight shows for what follows how much of a text is held.
func TestTight(t *testing.T) {
	tests := []struct{ name, text, held string }{
		{"a word", "see the wor", "wor"},
		{"a word and a space", "see the word ", ""},
		{"a sentence", "see the word. ", ""},
		{"a full stop", "see the word.", "word."},
		{"a mark", "see the word!", ""},
		{"a short number", "in 2024 the", "the"},
		{"a number", "in 2024", "2024"},
		{"a number and a space", "in 2024 ", ""},
		{"a card's beginning", "pay 4111 1", "4111 1"},
		{"no card's beginning", "pay 9111 1", "1"},
		{"a time", "at 10:20 ", ""},
		{"a country", "in de ", ""},
		{"a country in capitals", "in DE ", "DE "},
		{"an account", "to DE8", "DE8"},
		{"a path", "in /usr/lib/", ""},
		{"a token's beginning", "x eyJ", "eyJ"},
		{"half a character", "caf\xc3", "caf\xc3"},
		{"half an escape", `x \u00`, `\u00`},
		{"a new line", "word\n", ""},
		{"dashes", "a ---", "---"},
		{"other letters", "это ", ""},
		{"no spaces", "これは日本語です。", "本語です。"},
	}
	set := setOf(t, common...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := set.NewStream()
			var out strings.Builder
			for _, ev := range st.Write([]byte(tt.text), nil) {
				out.Write(ev.Text)
			}
			if held := strings.TrimPrefix(tt.text, out.String()); held != tt.held || st.Held() != len(held) {
				t.Errorf("%q: %q is held (%d bytes), want %q", tt.text, held, st.Held(), tt.held)
			}
		})
	}
}
