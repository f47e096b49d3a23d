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
	w      window
	stream Stream
	events []Event
}

// maxKept is how many bytes a Stream keeps room for from one use to the next.
const maxKept = 64 << 10

// findChunk is how much of a text is folded at a time.
const findChunk = 16 << 10

// Find appends the matches in text to dst: in order, not overlapping, final.
// It neither keeps nor changes text, and copies none of it that is plain ASCII
// without backslashes.
func (s *Set) Find(text []byte, dst []Match) []Match {
	f, _ := s.finders.Get().(*finder)
	if f == nil {
		f = &finder{stream: Stream{set: s, inside: -1}}
	}
	w := &f.w
	w.b, w.begins, w.eof, w.reach, w.floor, w.plainTo, w.unplain = text, true, true, s.reach, 0, 0, false
	for s.next(w) {
		m := w.best
		end := m.end
		if swallow := s.entries[m.index].swallow; swallow != nil {
			if !w.known(len(text), 0) {
				break
			}
			end, _ = swallow(w, end)
		}
		w.floor = end
		dst = append(dst, Match{m.start, end, m.index, m.score})
	}
	if w.unplain {
		dst = f.findFolded(text, dst)
	}
	w.b = nil
	s.finders.Put(f)
	return dst
}

// findFolded goes on from the last match as a Stream does, since a text is
// folded in pieces: its matches are the same.
func (f *finder) findFolded(text []byte, dst []Match) []Match {
	st := &f.stream
	st.Reset()
	st.off = max(0, f.w.floor-lookBack)
	st.raw = append(st.raw, text[st.off:f.w.floor]...)
	st.pos = len(st.raw)
	for rest := text[f.w.floor:]; len(rest) > 0; {
		n := min(len(rest), findChunk)
		f.events = st.Write(rest[:n], f.events[:0])
		dst = matches(f.events, dst)
		rest = rest[n:]
	}
	f.events = st.Flush(f.events[:0])
	return matches(f.events, dst)
}

// matches appends what the events say of matches.
func matches(events []Event, dst []Match) []Match {
	for i := range events {
		ev := &events[i]
		if ev.First {
			dst = append(dst, Match{Start: ev.Start, Index: ev.Index, Score: ev.Score})
		}
		if ev.Index >= 0 {
			dst[len(dst)-1].End = ev.End()
		}
	}
	return dst
}
