package detect

// Detector finds one entity. It does not change and is safe for concurrent
// use. Lookup gives the known ones; Regex and Dictionary make an operator's own.
type Detector struct {
	info Info

	// anchors are the bytes around which a match is looked for; inDigits asks
	// where a run of digits begins.
	anchors  string
	inDigits bool
	// minDigits and minGroups are what the digits there must have, so that it is
	// asked; see cluster.
	minDigits, minGroups int

	// behind, where it is set, tells whether an anchor is worth a look with this
	// byte before it.
	behind func(anchor, before byte) bool

	// verify tells the scanner of a match around the anchor at b[at], by hit,
	// or that more bytes have to be seen, by wait.
	verify func(w *window, e *entry, at int)
	// open gives where a match may have begun whose anchor is not among the
	// bytes yet; len(w.b) if nowhere. nil where a match begins with its anchor.
	open func(w *window, e *entry) int
	// lag is the most bytes of folded text between beginning and anchor.
	lag int
	// lead is the most bytes of folded text between an anchor and the beginning
	// of a match behind it.
	lead int
	// swallow is set where a match has no longest length: after the beginning
	// that verify found it says how far the match goes from b[from] on, and
	// whether it ends there. What it leaves undecided is at most lookBack long.
	swallow func(w *window, from int) (end int, done bool)

	raise, lower []string // context words
	score        float32  // of a match without them, of an operator's own
}

// Info describes an entity.
type Info struct {
	// Entity is its name, as in rules: EMAIL.
	Entity string
	// Description is one line on what is found.
	Description string
	// Longest is the most original bytes of a match; 0 for what has a certain
	// beginning and no longest length. Characters that are ignored or written
	// as escapes count with the bytes they take.
	Longest int
	// Threshold is the score that counts as a match where no rule says another.
	Threshold float32
}

// Info describes what the detector finds.
func (d *Detector) Info() Info { return d.info }

// Scored is a Regex or Dictionary whose matches have this score where no context
// word stands before them; theirs is 1 else. Known entities have scores of
// their own, which it does not change.
func (d *Detector) Scored(score float32) *Detector {
	scored := *d
	scored.score = score
	return &scored
}

// Lookup gives the known detector of an entity by its name, nil if there is
// none.
func Lookup(entity string) *Detector {
	for _, d := range table() {
		if d.info.Entity == entity {
			return d
		}
	}
	return nil
}

// Entities describes all known entities in the order of the table, which is
// the order that decides between equal matches where rules do not say another.
func Entities() []Info {
	all := table()
	infos := make([]Info, len(all))
	for i, d := range all {
		infos[i] = d.info
	}
	return infos
}
