package detect

// What a context word adds to a score, or takes from it.
const contextWeight = 0.4

// nearBy is how many bytes before a match words are looked for that lower its
// score. They say what stands right behind them, and must not spare all that
// comes later in the sentence.
const nearBy = 24

// wordList is a list of context words, in lower case.
type wordList struct {
	first [256]bool
	words []contextWord
}

type contextWord struct {
	text   string
	prefix bool // may go on: "card*"
}

// newWordList folds the words as the texts will be.
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
	t.fold([]byte(word), ignorable{}, true)
	return string(lowerCase(t.b))
}

// contextScore is base, raised or lowered by the words that stand before start.
func (w *window) contextScore(e *entry, start int, base float32) float32 {
	if w.says(&e.raise, start, lookBack) {
		base += contextWeight
	}
	if w.says(&e.lower, start, nearBy) {
		base -= contextWeight
	}
	return max(0, min(1, base))
}

// says tells whether one of the words stands within so many bytes before start.
func (w *window) says(l *wordList, start, within int) bool {
	if len(l.words) == 0 {
		return false
	}
	back := w.back(start)
	for i := max(back, start-within); i < start; i++ {
		c := lowered(w.b[i])
		switch {
		case !l.first[c]:
			continue
		case i == back && !(w.begins && w.org(start) <= lookBack):
			continue // perhaps in the middle of a word: what is before is not to be seen
		case i > back && is(w.b[i-1], isLetter) && !spaceless(w.b[i:]):
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
