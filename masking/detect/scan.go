package detect

import "slices"

// register notes where in a text the entry has to be asked.
func (s *Set) register(e *entry) {
	for i := range len(e.anchors) {
		s.addAnchor(e.anchors[i], e.index)
	}
	if e.inDigits {
		s.digits = append(s.digits, e.index)
	}
	if e.open != nil {
		s.opens = append(s.opens, e.index)
	}
	s.lag = max(s.lag, e.lag)
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
			s.stop[b] = 1
		}
	}
}

// next finds the first match from w.floor on that is certain. Where there is
// none, all before w.hold is clear.
func (s *Set) next(w *window) bool {
	w.best.index, w.hold = -1, len(w.b)
	i := w.floor
	for {
		stop := len(w.b)
		if w.best.index >= 0 {
			stop = min(stop, w.best.start+s.lag+1)
		}
		if i = s.skip(w.b[:stop], i); i == stop {
			break
		}
		s.ask(w, i)
		i++
	}
	if !w.eof && i == len(w.b) {
		for _, index := range s.opens {
			e := &s.entries[index]
			w.wait(w.alignStart(max(w.floor, e.open(w, e))))
		}
	}
	return w.best.index >= 0 && w.best.start < w.hold
}

// skip is the next byte from i on that may be an anchor.
func (s *Set) skip(b []byte, i int) int {
	for i < len(b) && s.stop[b[i]] == 0 {
		i++
	}
	return i
}

// ask has the entries look for matches around the anchor b[i].
func (s *Set) ask(w *window, i int) {
	c := w.b[i]
	for _, index := range s.lists[s.hot[c]] {
		e := &s.entries[index]
		e.verify(w, e, i)
	}
	if c-'0' < 10 && (i == 0 || w.b[i-1]-'0' >= 10) {
		w.group.begin = -1
		for _, index := range s.digits {
			e := &s.entries[index]
			e.verify(w, e, i)
		}
	}
}
