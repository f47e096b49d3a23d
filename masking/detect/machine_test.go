package detect_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/masking/detect"
)

// randomExpr writes an expression with a longest match.
func randomExpr(rng *rand.Rand, depth int) string {
	atoms := []string{"a", "b", "ab", "[a-c]", "[^a]", `\d`, `\w`, ".", "-", `\b`, "(?i:B)", "[[:upper:]]", " "}
	switch n := rng.IntN(10); {
	case depth == 0 || n < 3:
		return atoms[rng.IntN(len(atoms))]
	case n < 5:
		return randomExpr(rng, depth-1) + randomExpr(rng, depth-1)
	case n < 7:
		return "(" + randomExpr(rng, depth-1) + "|" + randomExpr(rng, depth-1) + ")"
	default:
		repeat := []string{"?", "{2}", "{0,3}", "{1,2}", "{2,3}?"}
		return "(?:" + randomExpr(rng, depth-1) + ")" + repeat[rng.IntN(len(repeat))]
	}
}

// TestMachine compares with package regexp, told to prefer the longest match,
// on text that folding does not change.
func TestMachine(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	compared, matched := 0, 0
	for range 3000 {
		expr := randomExpr(rng, 4)
		want := regexp.MustCompile(expr)
		want.Longest()
		d, err := detect.Regex("OWN", expr)
		if err != nil {
			if !strings.Contains(err.Error(), "matches no characters") && !strings.Contains(err.Error(), "too complex") {
				t.Fatalf("%s: %v", expr, err)
			}
			continue
		}
		set, err := detect.Compile([]detect.Entry{{Detector: d}}, detect.Options{HoldBack: 4096})
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		for range 5 {
			text := randomText(rng, "aabbcB12- _\n", 30)
			var all []string
			for _, at := range want.FindAllStringIndex(text, -1) {
				all = append(all, text[at[0]:at[1]])
			}
			got := found(set, text)
			if !slices.Equal(got, all) {
				t.Fatalf("%s in %q: %q, want %q", expr, text, got, all)
			}
			same(t, set, []byte(text), randomCuts(rng, len(text), rng.IntN(6)))
			compared++
			matched += len(got)
		}
	}
	if compared < 5000 || matched < compared {
		t.Errorf("only %d comparisons and %d matches", compared, matched)
	}
}

func randomText(rng *rand.Rand, from string, most int) string {
	b := make([]byte, rng.IntN(most))
	for i := range b {
		b[i] = from[rng.IntN(len(from))]
	}
	return string(b)
}

// TestTrie compares a dictionary with looking for each word at each place.
func TestTrie(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 24))
	for range 500 {
		words := make([]string, 1+rng.IntN(12))
		for i := range words {
			words[i] = strings.TrimSpace(randomText(rng, "aab c-", 8)) + "x"
		}
		set := compile(t, dictionary(t, words...))
		for range 10 {
			text := randomText(rng, "aabcx -X", 40)
			if got, want := found(set, text), naive(words, text); !slices.Equal(got, want) {
				t.Fatalf("%q in %q: %q, want %q", words, text, got, want)
			}
			same(t, set, []byte(text), randomCuts(rng, len(text), rng.IntN(6)))
		}
	}
}

// naive finds words, in which a space stands for one to three.
func naive(words []string, text string) (all []string) {
	letter := func(i int) bool {
		return i >= 0 && i < len(text) && (text[i]|0x20 >= 'a' && text[i]|0x20 <= 'z')
	}
	for i := 0; i < len(text); {
		best := 0
		for _, word := range words {
			expr := `(?i)^` + strings.Join(strings.Fields(regexp.QuoteMeta(word)), ` {1,3}`)
			at := regexp.MustCompile(expr).FindStringIndex(text[i:])
			if at == nil || letter(i-1) && letter(i) {
				continue
			}
			if end := i + at[1]; !(letter(end) && letter(end-1)) {
				best = max(best, at[1])
			}
		}
		if best == 0 {
			i++
			continue
		}
		all = append(all, text[i:i+best])
		i += best
	}
	return all
}
