package audit

import (
	"errors"

	"github.com/sluice-gateway/sluice/audit/merkle"
)

// walk goes through one log, leaf by leaf.
type walk struct {
	*verification
	state       State
	next        func() (Found, error, bool)
	checkpoints func() (Checkpoint, error, bool)
	anchors     map[uint64][]anchor
	sum         Verified

	record     *Found        // the next one; nil at the end
	damaged    *DamagedError // in its place
	checkpoint *Checkpoint
	tree       merkle.Tree
	// other is the tree of what the records say, where that is not what the leaves
	// say; nil while both are the same.
	other  *merkle.Tree
	unlike []Finding // of records unlike their leaves, until a checkpoint tells which of the two was changed
	signed uint64
	// prunedTo is how far records were pruned by what is signed, says by what is not
	// signed yet: anybody could have written that.
	prunedTo, says uint64
	claimed        bool // there is a checkpoint, whatever it is worth
	rewritten      bool
}

// pull reads the next record.
func (w *walk) pull() error {
	w.record, w.damaged = nil, nil
	found, err, ok := w.next()
	if !ok {
		return nil
	}
	if err != nil {
		if errors.As(err, &w.damaged) {
			return nil
		}
		return err
	}
	w.record = &found
	return nil
}

func (w *walk) pullCheckpoint() error {
	c, err, ok := w.checkpoints()
	w.checkpoint = nil
	if ok && err == nil {
		w.checkpoint, w.claimed = &c, true
	}
	return err
}

// leaf takes the next leaf, and the record that belongs to it.
func (w *walk) leaf(leaf merkle.Hash) error {
	seq := w.tree.Size()
	is := leaf
	switch {
	case w.damaged != nil && seq >= w.damaged.First && seq <= w.damaged.Last:
		if seq == w.damaged.First {
			w.found(Finding{Replica: w.state.Replica, Fault: Unreadable, First: seq, Last: w.damaged.Last})
		}
		if seq == w.damaged.Last {
			if err := w.pull(); err != nil {
				return err
			}
		}
	case w.record != nil && w.record.Place == seq:
		is = w.compare(leaf)
		w.sum.Records++
		if err := w.pull(); err != nil {
			return err
		}
	case seq >= w.state.First:
		w.missing(seq)
	}
	if is != leaf && w.other == nil {
		w.other = w.tree.Clone()
	}
	w.tree.Append(leaf)
	if w.other != nil {
		w.other.Append(is)
	}
	return w.compareRoots()
}

// compare compares a record with its leaf, and gives the record's own.
func (w *walk) compare(leaf merkle.Hash) merkle.Hash {
	r := w.record
	is := merkle.Leaf(r.Bytes)
	if is == leaf {
		w.says = max(w.says, PrunedTo(r.Record))
	}
	if is != leaf {
		f := Finding{Replica: w.state.Replica, Fault: Edited, First: r.Place, Last: r.Place}
		if r.Record.Seq != r.Place {
			f.Fault = Reordered
		}
		w.unlike = append(w.unlike, f)
		if len(w.unlike) > maxFindings {
			w.unlike = w.unlike[:maxFindings]
		}
	}
	return is
}

// missing tells of a record that is not there, together with those beside it.
func (w *walk) missing(seq uint64) {
	all := w.report.Findings
	if n := len(all); n > 0 && all[n-1].Fault == Dropped && all[n-1].Replica == w.state.Replica && all[n-1].Last+1 == seq {
		all[n-1].Last = seq
		return
	}
	w.found(Finding{Replica: w.state.Replica, Fault: Dropped, First: seq, Last: seq})
}

// compareRoots compares the tree with everything that is known of its size.
func (w *walk) compareRoots() error {
	size := w.tree.Size()
	var root merkle.Hash
	if w.checkpoint != nil && w.checkpoint.Size <= size || w.anchors[size] != nil {
		root = w.tree.Root()
	}
	for w.checkpoint != nil && w.checkpoint.Size <= size {
		w.compareCheckpoint(size, root)
		if err := w.pullCheckpoint(); err != nil {
			return err
		}
	}
	for _, a := range w.anchors[size] {
		if a.root != root && !w.rewritten && (w.other == nil || w.other.Root() != a.root) {
			w.found(Finding{Replica: w.state.Replica, Fault: Forked, Last: size - 1, Detail: a.from + " says otherwise"})
		}
	}
	delete(w.anchors, size)
	return nil
}

func (w *walk) compareCheckpoint(size uint64, root merkle.Hash) {
	c := w.checkpoint
	s, err := w.open(c.Note)
	if err == nil && (s.Origin != w.state.Replica || s.Size != c.Size || s.Root != c.Root) {
		err = errors.New("it is another checkpoint's")
	}
	if err != nil {
		w.found(Finding{Replica: w.state.Replica, Fault: Unsigned, First: w.signed, Last: c.Size - min(c.Size, 1), Detail: err.Error()})
		return
	}
	w.sum.Checkpoints++
	w.sum.Signed = s.Time
	if s.Size < size { // one of the same size was compared, and this one says it again
		return
	}
	switch {
	case root == s.Root:
		w.tell("")
		w.prunedTo = w.says
	case w.other != nil && w.other.Root() == s.Root:
		w.tell(Hashes)
	case !w.rewritten:
		w.tell("")
		w.found(Finding{Replica: w.state.Replica, Fault: Rewritten, First: w.signed, Last: size - 1})
		w.rewritten = true // those behind it can't fit either
	}
	w.signed = size
}

// tell reports records unlike their leaves, now that it is known which was changed.
func (w *walk) tell(as Fault) {
	for _, f := range w.unlike {
		if as != "" {
			f.Fault = as
		}
		w.found(f)
	}
	w.unlike = nil
	if as == "" {
		w.other = nil
	}
}

// end looks at what is left when the leaves are. grown is how many records the log
// has by now: it may be written to meanwhile.
func (w *walk) end(grown uint64) error {
	size := w.tree.Size()
	w.tell("")
	w.sum.Unsigned = size - min(w.signed, size)
	if !w.claimed && size > 0 && len(w.keys) > 0 {
		w.found(Finding{Replica: w.state.Replica, Fault: Unsigned, Last: size - 1, Detail: "it has no checkpoint, and its first record was written with one"})
	}
	other := w.pruned[w.state.Replica]
	if w.state.First > w.prunedTo && w.state.First <= other.to {
		w.sum.PrunedBy = other.from
	}
	if to := max(w.prunedTo, other.to); w.state.First > to {
		w.found(Finding{Replica: w.state.Replica, Fault: Dropped, First: to, Last: w.state.First - 1, Detail: "nothing signed says that they were pruned"})
	}
	if w.record != nil && w.record.Place >= grown || w.state.Size > size {
		w.found(Finding{Replica: w.state.Replica, Fault: Hashes, First: size, Last: max(w.state.Size, size+1) - 1, Detail: "there are none"})
	}
	longest := anchor{}
	for w.checkpoint != nil {
		if s, err := w.open(w.checkpoint.Note); err == nil && s.Size > max(longest.size, grown) {
			longest = anchor{size: s.Size, from: "a checkpoint of " + s.Time.String()}
		}
		if err := w.pullCheckpoint(); err != nil {
			return err
		}
	}
	for at, all := range w.anchors {
		if at > longest.size {
			longest = all[0]
		}
	}
	if longest.size > size {
		w.found(Finding{Replica: w.state.Replica, Fault: Truncated, First: size, Last: longest.size - 1, Detail: longest.from})
	}
	return nil
}
