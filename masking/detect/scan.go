package detect

import (
	"slices"
	"strings"
)

// register notes where in a text the entry has to be asked.
func (s *Set) register(e *entry) {
	for i := range len(e.anchors) {
		s.addAnchor(e.anchors[i], e.index)
	}
	if e.inDigits {
		s.digits = append(s.digits, e.index)
		s.digitLag = max(s.digitLag, e.lag)
	}
	if e.open != nil {
		s.opens = append(s.opens, e.index)
	}
	if e.lead > 0 {
		s.leads = append(s.leads, e.index)
	}
	s.lag, s.lead = max(s.lag, e.lag), max(s.lead, e.lead)
}

// addAnchor has the entry asked at each byte b.
func (s *Set) addAnchor(b byte, index int) {
	if old := s.lists[s.hot[b]]; !slices.Contains(old, index) {
		s.hot[b] = uint16(len(s.lists))
		s.lists = append(s.lists, append(slices.Clone(old), index))
		s.share()
	}
}

// share drops lists that no byte uses any more, and joins equal ones.
func (s *Set) share() {
	var lists [][]int
	for b := range s.hot {
		list := s.lists[s.hot[b]]
		at := slices.IndexFunc(lists, func(l []int) bool { return slices.Equal(l, list) })
		if at < 0 && len(list) > 0 {
			if len(lists) == 0 {
				lists = append(lists, nil)
			}
			at = len(lists)
			lists = append(lists, list)
		}
		s.hot[b] = uint16(max(at, 0))
	}
	if len(lists) == 0 {
		lists = append(lists, nil)
	}
	s.lists = lists
}

// settle makes the Set ready when all entries are registered.
func (s *Set) settle() {
	for b := range s.hot {
		if s.hot[b] > 0 || len(s.digits) > 0 && is(byte(b), isDigit) {
			s.folded[b] = 1
		}
		if s.plain[b] = s.folded[b]; special[b] {
			s.plain[b] = 1
		}
	}
	s.behind = make([][256]bool, len(s.lists))
	for anchor, list := range s.hot {
		for _, index := range s.lists[list] {
			for b := range s.behind[list] {
				behind := s.entries[index].behind
				s.behind[list][b] = s.behind[list][b] || behind == nil || behind(byte(anchor), byte(b))
			}
		}
	}
}

// next finds the first match from w.floor on that is certain. Where there is
// none, all before w.hold is clear, unless w.unplain says that the bytes have
// to be folded before anything can be told.
func (s *Set) next(w *window) bool {
	w.best.index, w.hold = -1, len(w.b)
	s.askBehind(w) // at anchors that are given out or matched already
	i, stops := w.floor, &s.folded
	if w.fold == nil {
		stops = &s.plain
	}
	for {
		stop := len(w.b)
		if w.best.index >= 0 {
			stop = min(stop, w.best.start+s.lag+1)
		}
		// Behind the longest lag no anchor can belong to a better match.
		if i = skip(w.b[:stop], i, stops); i >= stop {
			break
		}
		if w.fold == nil && special[w.b[i]] {
			w.unplain = true
			return false
		}
		i = s.ask(w, i)
	}
	if w.best.index >= 0 && !w.known(w.best.start+w.reach, i) {
		return false
	}
	if !w.eof && i >= len(w.b) {
		for _, index := range s.opens {
			e := &s.entries[index]
			w.wait(w.alignStart(max(w.floor, w.undecided(), e.open(w, e))))
		}
	}
	// None that begins where an endless one does can be longer.
	return w.best.index >= 0 && (w.best.start < w.hold || w.best.endless && w.best.start == w.hold)
}

// askBehind asks at anchors before w.floor those whose matches begin behind
// them.
func (s *Set) askBehind(w *window) {
	if s.lead == 0 || w.floor == 0 {
		return
	}
	for i := max(w.floor-s.lead, w.back(w.floor)); i < w.floor; i++ {
		if s.hot[w.b[i]] == 0 {
			continue
		}
		for _, index := range s.leads {
			if e := &s.entries[index]; strings.IndexByte(e.anchors, w.b[i]) >= 0 {
				e.verify(w, e, i)
			}
		}
	}
}

// skip is the next byte from i on where there may be something to do.
func skip(b []byte, i int, stops *[256]uint8) int {
	// Four loads at a time: most bytes of a text are nothing to anybody.
	for ; i+4 <= len(b); i += 4 {
		if q := b[i : i+4 : i+4]; stops[q[0]]|stops[q[1]]|stops[q[2]]|stops[q[3]] != 0 {
			break
		}
	}
	for i < len(b) && stops[b[i]] == 0 {
		i++
	}
	return i
}

// ask has the entries look for matches around the anchor b[i], and says from
// where on to look for another.
func (s *Set) ask(w *window, i int) int {
	c := w.b[i]
	list := s.hot[c]
	far := 0 // what does not begin so far before its anchor can't be better than the best
	if w.best.index >= 0 {
		far = i - w.best.start
	}
	if s.behind[list][w.before(i)] {
		for _, index := range s.lists[list] {
			if e := &s.entries[index]; e.lag >= far {
				e.verify(w, e, i)
			}
		}
	}
	if c-'0' >= 10 {
		return i + 1
	}
	if far <= s.digitLag && !is(w.before(i), isDigit) {
		s.askDigits(w, i, far)
	}
	// The other digits of a run are no anchors; where the text is folded, a run
	// may begin again behind what can't be seen.
	for i++; list == 0 && w.fold == nil && i < len(w.b) && w.b[i]-'0' < 10; i++ {
	}
	return i
}

// askDigits has the entries look for matches around the run of digits that
// begins at b[i].
func (s *Set) askDigits(w *window, i, far int) {
	// One reading serves all; most numbers of a text are too short for any.
	w.group.begin = -1
	n := w.cluster(i, i)
	for _, index := range s.digits {
		e := &s.entries[index]
		if e.lag >= far && (n.open || n.digits >= e.minDigits && n.n >= e.minGroups) {
			e.verify(w, e, i)
		}
	}
}
