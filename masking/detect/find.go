package detect

// Match is a span of sensitive text.
type Match struct {
	// Start and End are its first byte and the one behind its last, in the text
	// as it was given.
	Start, End int
	// Index is the entry of the Set that matches.
	Index int
	// Score is how sure that is, from the entry's threshold to 1.
	Score float32
}

// finder is what Find needs besides the text.
type finder struct {
	w    window
	fold folded
}

// maxKept is how much folded text a finder or Stream keeps for its next use.
const maxKept = 64 << 10

// Find appends the matches in text to dst: in order, not overlapping, final.
// It neither keeps nor changes text, and copies none of it that is plain ASCII
// without backslashes.
func (s *Set) Find(text []byte, dst []Match) []Match {
	f, _ := s.finders.Get().(*finder)
	if f == nil {
		f = &finder{}
	}
	f.w = window{b: text, eof: true, reach: s.reach}
	if plain(text) < len(text) {
		f.fold.fold(text, 0, true)
		f.w.fold, f.w.b = &f.fold, f.fold.b
	}
	for s.next(&f.w) {
		m := f.w.best
		start, end := f.w.span(m.start, m.end)
		f.w.floor = m.end
		if swallow := s.entries[m.index].swallow; swallow != nil {
			f.w.floor, _ = swallow(&f.w, m.end)
			end = f.w.org(f.w.floor)
		}
		dst = append(dst, Match{start, end, m.index, m.score})
	}
	f.w.b, f.w.fold = nil, nil
	if cap(f.fold.b) > maxKept {
		f.fold = folded{}
	}
	s.finders.Put(f)
	return dst
}
