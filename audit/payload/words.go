package payload

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of what is kept of a payload for searches.
const (
	// MaxWords is how many different words of one payload are found.
	MaxWords = 512
	// maxWord is the longest of them, minWord the shortest, in runes.
	maxWord, minWord = 64, 2
	// MaxMarks is how many different masked values of one record are found.
	MaxMarks = 64
)

// wordsOf splits a text into words as the index has them: runs of letters and
// digits, in lower case.
func wordsOf(text string) []string {
	return slices.DeleteFunc(
		strings.FieldsFunc(strings.ToLower(norm.NFKC.String(text)), func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
		}),
		func(w string) bool { n := utf8.RuneCountInString(w); return n < minWord || n > maxWord },
	)
}

// wordSet gathers different words, at most [MaxWords].
type wordSet map[string]struct{}

// add adds a text's words. It goes from blank to blank, which no character is put
// together across, so that most of any text is plain.
func (s wordSet) add(text string) {
	for text != "" && len(s) < MaxWords {
		n, plain := 0, true
		for ; n < len(text) && !blank(text[n]); n++ {
			plain = plain && text[n] < utf8.RuneSelf
		}
		if plain {
			s.addPlain(text[:n])
		} else {
			s.addOther(text[:n])
		}
		text = text[min(n+1, len(text)):]
	}
}

func blank(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }

func (s wordSet) addOther(text string) {
	for _, w := range wordsOf(text) {
		if len(s) == MaxWords {
			return
		}
		s[w] = struct{}{}
	}
}

// addPlain is addOther for ASCII. It allocates for new words alone.
func (s wordSet) addPlain(text string) {
	var word [maxWord]byte
	n := 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && wordBytes[text[i]] != 0 {
			if n < maxWord {
				word[n] = wordBytes[text[i]]
			}
			n++
			continue
		}
		if n >= minWord && n <= maxWord {
			if _, known := s[string(word[:n])]; !known && len(s) < MaxWords {
				s[string(word[:n])] = struct{}{}
			}
		}
		n = 0
	}
}

// wordBytes are the bytes of which plain words are made, in lower case.
var wordBytes = func() (table [256]byte) {
	for _, b := range []byte("abcdefghijklmnopqrstuvwxyz") {
		table[b], table[b-'a'+'A'] = b, b
	}
	for b := byte('0'); b <= '9'; b++ {
		table[b] = b
	}
	return table
}()

// hashes are the words' under a key.
func (s wordSet) hashes(key []byte, dst []uint64) []uint64 {
	hash := hasher(key)
	for w := range s {
		dst = append(dst, hash(w))
	}
	return dst
}

// Marker makes keyed hashes of values, so that it can be asked whether a value was
// masked without its being kept. It is safe for concurrent use.
type Marker struct{ key []byte }

// NewMarker returns a marker with a key that is not kept beside the hashes.
func NewMarker(key []byte) *Marker { return &Marker{slices.Clone(key)} }

// Mark is a value's hash: the same for a card however it is grouped, and for an
// address in capitals.
func (m *Marker) Mark(value string) uint64 { return hash(m.key, "look-up\x00"+plain(value)) }

// plain is a value as it is compared: numbers are their digits, all else is in
// lower case without blanks and dashes.
func plain(value string) string {
	value = strings.ToLower(norm.NFKC.String(value))
	letters := strings.ContainsFunc(value, unicode.IsLetter)
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsDigit(r):
			return '0' + digit(r)
		case !letters, unicode.IsSpace(r), unicode.Is(unicode.Pd, r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, value)
}

// digit is the value of a decimal digit in any script: each script's stand in a
// row, from zero.
func digit(r rune) rune {
	if r < utf8.RuneSelf {
		return r - '0'
	}
	zero := r
	for unicode.IsDigit(zero-1) && r-zero < 9 {
		zero--
	}
	return r - zero
}
