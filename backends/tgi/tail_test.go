package tgi

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzTail: however a text is cut into tokens, what is left of it is the same,
// what is handed out is a beginning of it, and no rune is cut.
func FuzzTail(f *testing.F) {
	f.Add("tick tock", "k tock", "ock", uint8(3), true)
	f.Add("tick tock", "", "zzz", uint8(1), true)
	f.Add("ein schöner Täg", "Täg", "ä", uint8(2), false)
	f.Fuzz(func(t *testing.T, text, one, two string, width uint8, stopped bool) {
		if !utf8.ValidString(text) || !utf8.ValidString(one) || !utf8.ValidString(two) {
			t.Skip("JSON has no such texts")
		}
		reason := "length"
		if stopped {
			reason = stopSequence
		}
		parameters := map[string]any{"stop": []string{one, two}}
		want := newTail(parameters).end(text, reason)
		cut, got := newTail(parameters), ""
		rest := text
		for n := cutAt(rest, int(width)); n < len(rest); n = cutAt(rest, int(width)) {
			part := cut.add(rest[:n])
			if !utf8.ValidString(part) {
				t.Errorf("%q is no text", part)
			}
			got, rest = got+part, rest[n:]
		}
		// The stop string ends with the last token, and has a part of it at least.
		if stopped && rest == "" {
			return
		}
		if got += cut.end(rest, reason); got != want {
			t.Errorf("cut into %d: %q, whole: %q", width, got, want)
		}
		if !strings.HasPrefix(text, got) {
			t.Errorf("%q is no beginning of %q", got, text)
		}
	})
}

// cutAt is a place to cut s at, some bytes on and between runes.
func cutAt(s string, width int) int {
	n := min(max(1, width), len(s))
	for n < len(s) && !utf8.RuneStart(s[n]) {
		n++
	}
	return n
}
