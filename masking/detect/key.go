package detect

import (
	"slices"
	"strings"
)

// keyForm is how a provider's keys look: what they begin with, and how much of
// what follows.
type keyForm struct {
	prefix      string
	body        uint16 // class of the letters behind
	least, most int
	random      bool // only where the body looks as if it were: slugs begin like that too
}

// rare lists bytes from those that are hardly ever in a text on; the anchor of
// a form is the rarest of its prefix.
const rare = "_QXZzJjKqVWUxYGFBHPRLONMDCSETIA-.kvbpgywfmucdlhrsniotae"

// newKeys makes a detector of keys.
func newKeys(info Info, forms ...keyForm) *Detector {
	d := &Detector{info: info}
	keys := make([]anchoredKey, len(forms))
	for i, f := range forms {
		at := 0
		for k := range len(f.prefix) {
			if strings.IndexByte(rare, f.prefix[k]) < strings.IndexByte(rare, f.prefix[at]) {
				at = k
			}
		}
		keys[i] = anchoredKey{f, at}
		d.anchors += f.prefix[at : at+1]
		d.lag = max(d.lag, at)
		d.info.Longest = max(d.info.Longest, len(f.prefix)+f.most)
	}
	d.verify = func(w *window, e *entry, at int) {
		for i := range keys {
			keys[i].verify(w, e, at)
		}
	}
	d.behind = func(anchor, before byte) bool {
		return slices.ContainsFunc(keys, func(k anchoredKey) bool {
			return k.prefix[k.at] == anchor && (k.at == 0 || k.prefix[k.at-1] == before)
		})
	}
	var inside [256]bool // bytes with which the beginning of a prefix ends
	for _, f := range forms {
		for k := range len(f.prefix) - 1 {
			inside[f.prefix[k]] = true
		}
	}
	d.open = func(w *window, _ *entry) int {
		first := len(w.b)
		if first == 0 || !inside[w.b[first-1]] {
			return first
		}
		for i := range keys {
			// Nothing else of a key comes before its anchor.
			first = min(first, w.prefixOpen(keys[i].prefix, isWord))
		}
		return first
	}
	return d
}

// anchoredKey is a form, and which byte of its prefix is the anchor.
type anchoredKey struct {
	keyForm
	at int
}

// verify looks for a key around its anchor. A body longer than the form's most
// ends there, but where its length is fixed it is another thing.
func (k *anchoredKey) verify(w *window, e *entry, at int) {
	start := at - k.at
	body := start + len(k.prefix)
	if w.b[at] != k.prefix[k.at] || start < w.floor || body > len(w.b) ||
		string(w.b[start:body]) != k.prefix || w.wordBefore(start) {
		return
	}
	lim, final := w.ahead(start)
	// The rest is read before the text's end is looked at: a key that is cut
	// there is found if what is left of it is long enough.
	end := body
	for end < lim && end-body < k.most && is(w.b[end], k.body) {
		end++
	}
	if end == lim && !final {
		w.wait(start)
		return
	}
	fixed := k.least == k.most
	if end-body < k.least || fixed && end < lim && is(w.b[end], k.body|isWord) || k.random && !looksRandom(w.b[body:end]) {
		return
	}
	w.hit(e, start, end, 0.95)
}

// looksRandom tells keys from words with dashes between: a long run without
// one, letters and digits mixed.
func looksRandom(b []byte) bool {
	run, digits, letters := 0, 0, 0
	for _, c := range b {
		if !is(c, isWord) {
			run, digits, letters = 0, 0, 0
			continue
		}
		if run++; is(c, isDigit) {
			digits++
		} else {
			letters++
		}
		if run >= 16 && digits > 0 && letters > 0 {
			return true
		}
	}
	return false
}

// prefixOpen is where the end of the bytes is the beginning of prefix, with
// nothing of the class touching before it; len(w.b) if it is not.
func (w *window) prefixOpen(prefix string, touching uint16) int {
	n := len(w.b)
	for k := min(len(prefix)-1, n-w.floor); k > 0; k-- {
		if string(w.b[n-k:]) == prefix[:k] && !is(w.before(n-k), touching) {
			return n - k
		}
	}
	return n
}
