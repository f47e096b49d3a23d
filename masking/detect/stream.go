package detect

// Event is a stretch of a streamed text about which all is decided. The events
// of a Stream, one behind the other, are the text without gaps.
type Event struct {
	// Text are the original bytes, clear or matched. They are the Stream's: valid
	// until its next call. They may be empty in the last event of a match.
	Text []byte
	// Start is where Text begins, counted from the beginning of the stream.
	Start int
	// Index is the entry that matches, -1 for clear text.
	Index int
	// Score is that of the match.
	Score float32
	// First and Last tell where a match begins and ends. A match with a longest
	// length is one event, with both; one without comes in as many pieces as it
	// arrives in. Both are false for clear text.
	First, Last bool
}

// End is the position behind Text.
func (e *Event) End() int { return e.Start + len(e.Text) }

// Clear tells text that no entry matches.
func (e *Event) Clear() bool { return e.Index < 0 }

// Stream finds the matches of a text that arrives in chunks. It is not safe
// for concurrent use. It keeps a copy of what is undecided and of 64 bytes
// before, never more than the longest chunk and the Set's hold-back besides.
type Stream struct {
	set *Set

	raw   []byte    // bytes that are looked at, from the beginning of a character on
	off   int       // position of raw[0] in the stream
	pos   int       // raw[:pos] is given out
	keep  int       // raw[:keep] is not looked at any more
	run   ignorable // before raw[keep]
	dirty bool      // raw has to be folded

	inside int     // entry of the match that raw[pos] is in, -1: none
	score  float32 // its score

	w    window
	fold folded
}

// NewStream begins a text.
func (s *Set) NewStream() *Stream { return &Stream{set: s, inside: -1} }

// Reset begins another text, of the same Set. What was held is forgotten.
func (st *Stream) Reset() {
	st.raw, st.off, st.pos, st.keep, st.run, st.dirty, st.inside = st.raw[:0], 0, 0, 0, ignorable{}, false, -1
}

// Held is how many bytes are held: were written and not given out.
func (st *Stream) Held() int { return len(st.raw) - st.pos }

// Write takes the next bytes of the text and appends to dst what is decided by
// now. chunk is not kept.
func (st *Stream) Write(chunk []byte, dst []Event) []Event {
	if len(chunk) == 0 {
		return dst
	}
	st.slide()
	st.raw = append(st.raw, chunk...)
	return st.decide(dst, false)
}

// Flush ends the text: all that was held is appended to dst. The Stream is
// ready for another text; the events are valid until its first Write.
func (st *Stream) Flush(dst []Event) []Event {
	st.slide()
	dst = st.decide(dst, true)
	st.Reset()
	return dst
}

// slide forgets what is not looked at any more.
func (st *Stream) slide() {
	if st.keep == 0 {
		return
	}
	rest := st.raw[st.keep:]
	if cap(st.raw) > maxKept && len(rest) < maxKept {
		st.raw, st.fold = append([]byte(nil), rest...), folded{}
	} else {
		st.raw = st.raw[:copy(st.raw, rest)]
	}
	st.off, st.pos, st.keep = st.off+st.keep, st.pos-st.keep, 0
	st.dirty = st.dirty && plain(st.raw) < len(st.raw)
}

// decide gives out what can be told of raw.
func (st *Stream) decide(dst []Event, eof bool) []Event {
	w := &st.w
	w.b, w.fold, w.floor, w.eof, w.reach, w.plainTo, w.unplain = st.raw, nil, st.pos, eof, st.set.reach, 0, false
	w.begins = st.off == 0
	if st.dirty || st.inside >= 0 && !w.known(len(st.raw), 0) {
		st.refold()
	}
	for {
		if st.inside >= 0 {
			if dst = st.goOn(dst); st.inside >= 0 {
				break
			}
		}
		if st.set.next(w) {
			dst = st.match(dst)
			continue
		}
		if !w.unplain {
			dst = st.clear(dst, w.org(w.hold))
			break
		}
		st.refold()
	}
	st.forget()
	return dst
}

// refold goes on with folded text.
func (st *Stream) refold() {
	w := &st.w
	st.dirty = true
	st.fold.fold(st.raw, st.run, w.eof)
	w.b, w.fold, w.floor, w.unplain = st.fold.b, &st.fold, st.fold.ceil(st.pos), false
}

// clear gives out raw up to end as clear.
func (st *Stream) clear(dst []Event, end int) []Event {
	if end > st.pos {
		dst = append(dst, Event{Text: st.raw[st.pos:end], Start: st.off + st.pos, Index: -1})
		st.pos = end
	}
	return dst
}

// match gives out the best match and what is before it.
func (st *Stream) match(dst []Event) []Event {
	m := st.w.best
	start, end := st.w.span(m.start, m.end)
	bounded := st.set.entries[m.index].swallow == nil
	if !bounded && !st.w.known(len(st.raw), 0) {
		st.refold()
		return dst
	}
	dst = st.clear(dst, start)
	if !bounded {
		st.inside, st.score = m.index, m.score
		end = st.w.org(m.end)
	}
	dst = append(dst, Event{
		Text: st.raw[start:end], Start: st.off + start, Index: m.index, Score: m.score, First: true, Last: bounded,
	})
	st.pos, st.w.floor = end, m.end
	return dst
}

// goOn gives out what more belongs to the match that raw[pos] is in.
func (st *Stream) goOn(dst []Event) []Event {
	end, done := st.set.entries[st.inside].swallow(&st.w, st.w.floor)
	o := max(st.pos, st.w.org(end))
	if o > st.pos || done {
		dst = append(dst, Event{
			Text: st.raw[st.pos:o], Start: st.off + st.pos, Index: st.inside, Score: st.score, Last: done,
		})
	}
	st.pos, st.w.floor = o, end
	if done {
		st.inside = -1
	}
	return dst
}

// forget finds what of raw has to be kept to decide on what follows.
func (st *Stream) forget() {
	if st.pos <= lookBack {
		st.keep = 0
		return
	}
	if st.w.fold == nil {
		st.keep, st.run = st.pos-lookBack, ignorable{}
		return
	}
	f := st.fold.ceil(st.pos - lookBack)
	st.keep = min(st.pos, st.fold.org(f))
	switch {
	case f == len(st.fold.b):
		st.run = st.fold.run
	case st.fold.b[f] == symBreak:
		st.run = ignorable{n: maxIgnorable} // so that it is read as one again
	default:
		st.run = ignorable{}
	}
}
