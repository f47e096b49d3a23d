package access

import (
	"fmt"
	"strings"
)

// Suggest returns the one of known that word was probably meant to be, or ""
// where none is near: at most one edit for short words, two for longer ones.
func Suggest(word string, known []string) string {
	best, least := "", 3
	if len(word) < 4 {
		least = 2
	}
	for _, k := range known {
		if d := edits(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// DidYouMean is [Suggest] as the end of an error's text: ` (did you mean
// "triton"?)`, or "" where there is nothing to suggest.
func DidYouMean(word string, known []string) string {
	if s := Suggest(word, known); s != "" {
		return fmt.Sprintf(" (did you mean %q?)", s)
	}
	return ""
}

// edits counts insertions, deletions, replacements and swaps of neighbours
// between a and b. Words far apart in length are not compared: what is
// suggested for is what an operator mistyped, and may be a megabyte long.
func edits(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
