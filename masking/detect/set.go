package detect

import (
	"errors"
	"fmt"
	"sync"
)

const (
	// DefaultHoldBack is how many bytes of a stream may be held where Options
	// do not say.
	DefaultHoldBack = 256
	// MinHoldBack and MaxHoldBack bound what may be configured.
	MinHoldBack = 64
	MaxHoldBack = 64 << 10

	// lookBack is how many original bytes before a match may decide on it.
	lookBack = 64
	// longestSymbol is the longest run of bytes that is read as one character:
	// two escaped halves of a surrogate pair.
	longestSymbol = 12
)

// Entry is one entity that a Set looks for.
type Entry struct {
	// Detector finds it. Required.
	Detector *Detector
	// Threshold is the least score, in (0, 1], that counts as a match; 0 is the
	// detector's own.
	Threshold float32
	// Context are words that raise the score where they stand within 64 bytes
	// before a match, besides the detector's own. A word ends where its letters
	// end; "card*" also means "cards". Case and accents do not matter.
	Context []string
}

// Options are what all entries of a Set share.
type Options struct {
	// HoldBack is how many bytes may be looked at from the beginning of a match
	// on, and so how many bytes a Stream may hold; 0 is DefaultHoldBack.
	HoldBack int
}

// Set finds the matches of its entries. It is expensive to make and cheap to
// use, does not change, and is safe for concurrent use.
type Set struct {
	entries  []entry
	holdBack int
	reach    int // bytes that a decision sees from the beginning of a match on
	lag      int // most symbols between the beginning of a match and its anchor

	plain    [256]uint8  // not 0: at this byte there may be something to do
	folded   [256]uint8  // the same where the text is folded
	hot      [256]uint16 // which of lists to ask at a byte
	behind   [][256]bool // for each list: bytes before the anchor with which it is worth a look
	lists    [][]int     // entries to ask at an anchor; the first is empty
	digits   []int       // entries to ask where a run of digits begins
	digitLag int         // the longest lag of these, -1: there are none
	opens    []int       // entries that may begin before their anchor is seen

	leads []int // entries whose matches may begin behind their anchor
	lead  int   // the longest lead

	finders sync.Pool // of *finder
}

// entry is an Entry, ready for use.
type entry struct {
	*Detector
	index     int
	threshold float32
	raise     wordList
	lower     wordList
}

// Compile makes a Set. The order of entries decides between matches that begin
// and end at the same places, and Match.Index counts in it. Errors name the
// entity and say what is wrong; all of them are reported, joined.
func Compile(entries []Entry, o Options) (*Set, error) {
	if o.HoldBack == 0 {
		o.HoldBack = DefaultHoldBack
	}
	if o.HoldBack < MinHoldBack || o.HoldBack > MaxHoldBack {
		return nil, fmt.Errorf("hold_back %d: must be from %d to %d bytes", o.HoldBack, MinHoldBack, MaxHoldBack)
	}
	s := &Set{entries: make([]entry, len(entries)), holdBack: o.HoldBack, reach: o.HoldBack - longestSymbol}
	s.lists, s.digitLag = [][]int{nil}, -1
	var problems []error
	for i, e := range entries {
		if err := s.entries[i].set(i, e, s.reach); err != nil {
			problems = append(problems, err)
			continue
		}
		s.register(&s.entries[i])
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	s.settle()
	return s, nil
}

// set checks an Entry and takes it over.
func (e *entry) set(index int, from Entry, reach int) error {
	d := from.Detector
	switch {
	case d == nil:
		return fmt.Errorf("entry %d: no detector", index)
	case from.Threshold < 0 || from.Threshold > 1:
		return fmt.Errorf("%s: threshold %v: must be from 0 to 1", d.info.Entity, from.Threshold)
	case d.info.Longest > reach:
		return fmt.Errorf("%s: its longest match of %d bytes needs a hold_back of at least %d, not %d",
			d.info.Entity, d.info.Longest, d.info.Longest+longestSymbol, reach+longestSymbol)
	}
	*e = entry{Detector: d, index: index, threshold: d.info.Threshold}
	if from.Threshold > 0 {
		e.threshold = from.Threshold
	}
	e.raise = newWordList(append(append([]string(nil), d.raise...), from.Context...))
	e.lower = newWordList(d.lower)
	return nil
}

// HoldBack is the most bytes that a Stream of this Set holds.
func (s *Set) HoldBack() int { return s.holdBack }

// Len is how many entries the Set has.
func (s *Set) Len() int { return len(s.entries) }

// Info describes the entry that Match.Index and Event.Index name.
func (s *Set) Info(index int) Info { return s.entries[index].info }
