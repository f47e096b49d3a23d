package detect

// What a context word adds to a score, or takes from it.
const contextWeight = 0.4

// wordList is a list of context words, in lower case.
type wordList struct {
	first [256]bool
	words []contextWord
}

type contextWord struct {
	text   string
	prefix bool // may go on: "card*"
}

func newWordList(words []string) (l wordList) {
	for _, word := range words {
		text := foldWord(word)
		prefix := len(text) > 0 && text[len(text)-1] == '*'
		if prefix {
			text = text[:len(text)-1]
		}
		if text == "" {
			continue
		}
		l.words = append(l.words, contextWord{text, prefix})
		l.first[text[0]] = true
	}
	return l
}

// foldWord is a word as it looks in folded text, in lower case.
func foldWord(word string) string {
	var t folded
	t.fold([]byte(word), 0, true)
	return string(lowerCase(t.b))
}

// contextScore is base, raised or lowered by the words that stand before start.
func (w *window) contextScore(e *entry, start int, base float32) float32 {
	if w.says(&e.raise, start) {
		base += contextWeight
	}
	if w.says(&e.lower, start) {
		base -= contextWeight
	}
	return max(0, min(1, base))
}

// says tells whether one of the words stands within lookBack bytes before start.
func (w *window) says(l *wordList, start int) bool {
	if len(l.words) == 0 {
		return false
	}
	from := w.back(start)
	for i := from; i < start; i++ {
		c := lowered(w.b[i])
		if !l.first[c] || i > from && is(w.b[i-1], isLetter) && !spaceless(w.b[i:]) {
			continue
		}
		for _, word := range l.words {
			if w.spells(word, i, start) {
				return true
			}
		}
	}
	return false
}

// spells tells whether the word stands at b[i] and ends before end.
func (w *window) spells(word contextWord, i, end int) bool {
	n := i + len(word.text)
	if n > end {
		return false
	}
	for k := range len(word.text) {
		if lowered(w.b[i+k]) != word.text[k] {
			return false
		}
	}
	return word.prefix || n == end || !is(w.b[n], isLetter)
}
