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
	w := &f.w
	*w = window{b: text, begins: true, eof: true, reach: s.reach}
	for {
		if !s.next(w) {
			if !w.unplain {
				break
			}
			f.refold(text)
			continue
		}
		m := w.best
		start, end := w.span(m.start, m.end)
		floor := m.end
		if swallow := s.entries[m.index].swallow; swallow != nil {
			if !w.known(len(text), 0) {
				f.refold(text)
				continue
			}
			floor, _ = swallow(w, m.end)
			end = w.org(floor)
		}
		w.floor = floor
		dst = append(dst, Match{start, end, m.index, m.score})
	}
	f.w.b, f.w.fold = nil, nil
	if cap(f.fold.b) > maxKept {
		f.fold = folded{}
	}
	s.finders.Put(f)
	return dst
}

// refold goes on with folded text.
func (f *finder) refold(text []byte) {
	f.fold.fold(text, ignorable{}, true)
	f.w.floor = f.fold.ceil(f.w.floor)
	f.w.b, f.w.fold, f.w.unplain = f.fold.b, &f.fold, false
}
