// Package detect finds spans of sensitive text: mail addresses, card numbers,
// keys and the like. It holds the one definition of masking a text, for whole
// texts and for texts that arrive in chunks; DESIGN.md beside it states it.
//
// The common case is a Set, compiled once for the entities that a rule names
// and shared by all goroutines:
//
//	set, err := detect.Compile([]detect.Entry{{Detector: email}, {Detector: card}}, detect.Options{})
//	matches := set.Find(text, nil)
//
// and for text that streams, a Stream of that Set, one per text:
//
//	st := set.NewStream()
//	events = st.Write(chunk, events[:0]) // clear bytes and matches, in order
//	events = st.Flush(events[:0])        // at the text's end
//
// However the text is cut, the events of a Stream are what Find says of the
// whole.
//
// The package works on the bytes of one text. It knows nothing of tensors,
// rules, principals or of what is done to a match: that is masking's.
//
// Stable for the packages above: Entry, Options, Compile, Set, Find, Match,
// NewStream, Stream, Write, Flush, Reset, Event, Detector, Lookup, Entities,
// Info, Regex, Dictionary, Scored.
package detect
