package detect

import (
	"regexp/syntax"
	"slices"
	"unicode"
)

// sortedRanges are pairs of first and last characters in order, joined where
// they touch, as package syntax wants them.
func sortedRanges(runes []rune) []rune {
	pairs := make([][2]rune, 0, len(runes)/2)
	for i := 0; i+1 < len(runes); i += 2 {
		pairs = append(pairs, [2]rune{runes[i], runes[i+1]})
	}
	slices.SortFunc(pairs, func(a, b [2]rune) int { return int(a[0] - b[0]) })
	var out []rune
	for _, p := range pairs {
		if n := len(out); n > 0 && p[0] <= out[n-1]+1 {
			out[n-1] = max(out[n-1], p[1])
			continue
		}
		out = append(out, p[0], p[1])
	}
	return out
}

// foldings are the characters that an instruction for one character matches.
func foldings(inst *syntax.Inst) []rune {
	r := inst.Rune[0]
	all := []rune{r}
	if syntax.Flags(inst.Arg)&syntax.FoldCase != 0 {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			all = append(all, f)
		}
	}
	return all
}
