package detect

import "unicode/utf8"

// window is a stretch of folded text that is looked at: what may decide on
// bytes from floor on, and no more than may.
type window struct {
	b      []byte
	fold   *folded // nil: b are the original bytes
	floor  int     // matches begin here or behind
	begins bool    // nothing comes before b
	eof    bool    // nothing comes behind b
	reach  int     // original bytes that may be seen from a beginning on

	best  candidate // the best match so far; index < 0: none
	hold  int       // from here on more bytes are needed; len(b): none are
	group cluster   // digits around the anchor that is looked at

	plainTo int  // b[:plainTo] is known to need no folding
	unplain bool // b has to be folded
}

// candidate is a match in folded offsets.
type candidate struct {
	start, end int
	index      int
	endless    bool // it has no longest length: end is that of its beginning
	score      float32
}

// better tells whether c comes before d: leftmost, then longest, then the
// order of entries.
func (c candidate) better(d candidate) bool {
	switch {
	case d.index < 0 || c.start != d.start:
		return d.index < 0 || c.start < d.start
	case c.endless || d.endless:
		return c.endless && (!d.endless || c.index < d.index)
	case c.end != d.end:
		return c.end > d.end
	}
	return c.index < d.index
}

// ahead says up to where a match that begins at start may look, and whether
// that is all it will ever see: then lim counts as the text's end.
func (w *window) ahead(start int) (lim int, final bool) {
	if w.fold == nil {
		if lim = start + w.reach; lim <= len(w.b) {
			return lim, true
		}
		return len(w.b), w.eof
	}
	if o := w.fold.org(start) + w.reach; o <= w.fold.end {
		return w.fold.floor(o), true
	}
	return len(w.b), w.eof
}

// undecided is the first byte that does not see all yet that it ever will.
func (w *window) undecided() int {
	if w.fold == nil {
		return len(w.b) - w.reach + 1
	}
	return w.fold.ceil(w.fold.end - w.reach + 1)
}

// back is the first byte that may be looked at before start.
func (w *window) back(start int) int {
	if w.fold == nil {
		return max(0, start-lookBack)
	}
	return w.fold.ceil(w.fold.org(start) - lookBack)
}

// hit reports a match, if its score suffices.
func (w *window) hit(e *entry, start, end int, score float32) {
	if score < e.threshold {
		return
	}
	if c := (candidate{start, end, e.index, e.swallow != nil, score}); start >= w.floor && c.better(w.best) {
		w.best = c
	}
}

// known makes sure that b[:to] needs no folding, of which b[floor:seen] is known
// not to.
func (w *window) known(to, seen int) bool {
	if w.fold != nil {
		return true
	}
	w.plainTo = max(w.plainTo, seen, w.floor)
	if to = min(to, len(w.b)); to > w.plainTo {
		w.plainTo += plain(w.b[w.plainTo:to])
		w.unplain = w.plainTo < to
	}
	return !w.unplain
}

// wait reports that what begins at start can't be told yet.
func (w *window) wait(start int) {
	if start >= w.floor && !w.eof {
		w.hold = min(w.hold, start)
	}
}

// waitFor reports that nothing can be told of what follows the anchor b[at].
func (w *window) waitFor(at int) {
	if _, final := w.ahead(at); !final {
		w.wait(at)
	}
}

// wordBefore tells whether the character before b[i] is a letter or digit.
func (w *window) wordBefore(i int) bool { return is(w.before(i), isWord) }

// before is the byte before b[i], symOther where there is none. It is always near
// enough to be looked at: see maxIgnorableBytes.
func (w *window) before(i int) byte {
	if i == 0 {
		return symOther
	}
	return w.b[i-1]
}

// onEdge tells whether b[i] is no letter or digit, or the end of what counts.
// ok is false where it is not there yet.
func (w *window) onEdge(i, lim int, final bool) (edge, ok bool) {
	if i < lim {
		return !is(w.b[i], isWord), true
	}
	return true, final
}

// alignStart moves i to the beginning of a character.
func (w *window) alignStart(i int) int {
	for i < len(w.b) && w.b[i] < symBreak && !utf8.RuneStart(w.b[i]) {
		i++
	}
	return i
}

// span gives the original offsets of a candidate.
func (w *window) span(start, end int) (int, int) {
	if w.fold == nil {
		return start, end
	}
	return w.fold.org(start), w.fold.orgEnd(end)
}

// org is the original offset of b[i], or of where the text ends.
func (w *window) org(i int) int {
	if w.fold == nil {
		return i
	}
	return w.fold.org(i)
}
