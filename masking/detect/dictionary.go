package detect

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// maxDictionary is how many bytes of words a dictionary may have.
const maxDictionary = 8 << 20

// maxPhrase is how long one of them may be.
const maxPhrase = 1024

// maxBlank is how much white space may stand for a space of a word.
const maxBlank = 3

// Dictionary makes a detector of words and phrases, one a line; empty lines and
// lines that begin with # are left out. Case and accents do not matter, and a
// space means any white space. A letter or digit at a word's end must not touch
// another, but in scripts that put no spaces between words. Errors say which line is wrong.
func Dictionary(entity string, words []byte) (*Detector, error) {
	if len(words) > maxDictionary {
		return nil, fmt.Errorf("%d bytes of words: at most %d are possible", len(words), maxDictionary)
	}
	list, longest, err := readWords(words)
	if err != nil {
		return nil, err
	}
	t := newTrie(list)
	return &Detector{
		info:    Info{entity, fmt.Sprintf("%d words of a dictionary", len(list)), longest, 0.5},
		anchors: t.anchors(),
		score:   1,
		verify:  t.verify,
	}, nil
}

// readWords gives the words as they look in folded text, in lower case, sorted,
// and the most bytes that one of them may take.
func readWords(words []byte) (list []string, longest int, err error) {
	lines := bufio.NewScanner(bytes.NewReader(words))
	lines.Buffer(nil, maxDictionary+1)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(bytes.TrimPrefix(lines.Bytes(), []byte("\uFEFF")))
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		word := string(bytes.Join(bytes.Fields([]byte(foldWord(string(line)))), []byte(" ")))
		if word == "" || bytes.IndexByte([]byte(word), symBreak) >= 0 {
			return nil, 0, fmt.Errorf("line %d: nothing to look for", n)
		}
		if len(word) > maxPhrase {
			return nil, 0, fmt.Errorf("line %d: longer than %d bytes", n, maxPhrase)
		}
		longest = max(longest, len(line), len(word)) + (maxBlank-1)*bytes.Count([]byte(word), []byte(" "))
		list = append(list, word)
	}
	if len(list) == 0 {
		return nil, 0, fmt.Errorf("no words")
	}
	slices.Sort(list)
	return slices.Compact(list), longest, lines.Err()
}

// trie holds words by their bytes. Looking for words where words begin, and
// only there, it needs no links back as an Aho-Corasick automaton has them, and
// gives the longest by itself.
type trie struct {
	nodes  []trieNode
	labels []byte   // of the edges of all nodes, those of a node together
	to     []uint32 // the nodes they lead to
}

type trieNode struct {
	edges uint32 // index of the first
	n     uint16
	word  bool // one ends here
}

func newTrie(words []string) *trie {
	t := &trie{nodes: make([]trieNode, 1)}
	t.grow(0, words, 0)
	return t
}

// grow makes what is below node: the words, which are equal up to depth.
func (t *trie) grow(node uint32, words []string, depth int) {
	if len(words[0]) == depth {
		t.nodes[node].word = true
		if words = words[1:]; len(words) == 0 {
			return
		}
	}
	// The edges of a node lie together, so they are made before those below it.
	first := len(t.labels)
	for i, word := range words {
		if i == 0 || word[depth] != words[i-1][depth] {
			t.labels, t.to = append(t.labels, word[depth]), append(t.to, uint32(len(t.nodes)))
			t.nodes = append(t.nodes, trieNode{})
		}
	}
	t.nodes[node].edges, t.nodes[node].n = uint32(first), uint16(len(t.labels)-first)
	children := t.to[first:]
	for from := 0; from < len(words); children = children[1:] {
		to := from
		for to < len(words) && words[to][depth] == words[from][depth] {
			to++
		}
		t.grow(children[0], words[from:to], depth+1)
		from = to
	}
}

// step follows an edge; 0, the root, is nowhere.
func (t *trie) step(node uint32, label byte) uint32 {
	n := &t.nodes[node]
	for i, l := range t.labels[n.edges:][:n.n] {
		if l == label {
			return t.to[int(n.edges)+i]
		}
	}
	return 0
}

// anchors are the bytes that a word may begin with.
func (t *trie) anchors() string {
	var set []byte
	for _, label := range t.labels[t.nodes[0].edges:][:t.nodes[0].n] {
		set = append(set, label)
		if label-'a' < 26 {
			set = append(set, label-'a'+'A')
		}
		if label >= 0x80 && label < symBreak && !slices.Contains(set, 0xC3) {
			for b := 0xC2; b < 0xF5; b++ { // capitals may begin with another byte
				set = append(set, byte(b))
			}
		}
	}
	return string(set)
}

// verify looks for the words that begin at b[at].
func (t *trie) verify(w *window, e *entry, at int) {
	if at < w.floor || is(w.b[at], isWord) && w.wordBefore(at) && !spaceless(w.b[at:]) {
		return
	}
	score := w.contextScore(e, at, e.score)
	if score < e.threshold {
		return
	}
	lim, final := w.ahead(at)
	// A longer word wins by itself, so all that end on the way are reported.
	node, last := uint32(0), at
	for i := at; ; {
		if node != 0 && t.nodes[node].word {
			edge, known := w.onEdge(i, lim, final)
			switch {
			case edge && known || !is(w.b[i-1], isWord) || spaceless(w.b[last:]):
				w.hit(e, at, i, score)
			case !known:
				w.wait(at)
			}
		}
		if i == lim {
			if !final && t.nodes[node].n > 0 {
				w.wait(at)
			}
			return
		}
		last = i
		if node, i = t.read(w.b, i, lim, node); node == 0 {
			return
		}
	}
}

// read follows the character b[i].
func (t *trie) read(b []byte, i, lim int, node uint32) (to uint32, next int) {
	c := b[i]
	switch {
	case is(c, isSpace) || c == '\n' || c == '\r':
		for n := 0; n < maxBlank && i < lim && (is(b[i], isSpace) || b[i] == '\n' || b[i] == '\r'); n++ {
			i++
		}
		return t.step(node, ' '), i
	case c < 0x80 || c >= symBreak:
		return t.step(node, lowered(c)), i + 1
	}
	// Words are in small letters; a letter and its capital may differ in length.
	r, n := utf8.DecodeRune(b[i:lim])
	var buf [utf8.UTFMax]byte
	for _, l := range buf[:utf8.EncodeRune(buf[:], unicode.ToLower(r))] {
		if node = t.step(node, l); node == 0 {
			break
		}
	}
	return node, i + n
}

// spacelessScripts are where their characters are, first and last: Thai and
// Lao, Burmese, Khmer, and what is written in Chinese and Japanese.
var spacelessScripts = [][2]rune{
	{0x0E00, 0x0EFF},
	{0x1000, 0x109F},
	{0x1780, 0x17FF},
	{0x2E80, 0x312F},
	{0x3190, 0xA4CF},
	{0xF900, 0xFAFF},
	{0xFF66, 0xFF9F},
	{0x20000, 0x3FFFF},
}

// spaceless tells whether the character at the beginning of b is of a script
// that puts no spaces between words.
func spaceless(b []byte) bool {
	if b[0] < 0x80 {
		return false
	}
	r, _ := utf8.DecodeRune(b)
	for _, s := range spacelessScripts {
		if s[0] <= r && r <= s[1] {
			return true
		}
	}
	return false
}
