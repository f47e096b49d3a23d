package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/audit/merkle"
)

// Evidence is what a verification reads: a [Log], or an export of one.
type Evidence interface {
	Tree
	Search(ctx context.Context, q Query) iter.Seq2[Found, error]
}

// Fault is what a verification found to be wrong.
type Fault string

// The faults.
const (
	// Edited: a record is not the one that was signed.
	Edited Fault = "edited"
	// Dropped: a record is not there any more, though none was pruned there.
	Dropped Fault = "dropped"
	// Reordered: a record stands in the place of another.
	Reordered Fault = "reordered"
	// Truncated: fewer records are there than were signed.
	Truncated Fault = "truncated"
	// Forked: the log's key has signed another history than the one that is there.
	Forked Fault = "forked"
	// Rewritten: records and hashes fit each other, and not what was signed.
	Rewritten Fault = "rewritten"
	// Hashes: a stored hash is not the one that was signed; its record is.
	Hashes Fault = "hashes changed"
	// Unsigned: a checkpoint is not signed by the log's key, or its key is not known, or
	// there is none.
	Unsigned Fault = "not signed"
	// Vanished: a log that another one's checkpoint names is not there.
	Vanished Fault = "vanished"
	// Unreadable: what is kept of a record is damaged.
	Unreadable Fault = "unreadable"
)

// Finding is one thing that is wrong.
type Finding struct {
	Replica string `json:"log"`
	Fault   Fault  `json:"fault"`
	// First and Last are the first and the last record that it is about.
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"`
	Detail string `json:"detail,omitempty"`
}

// String is the finding as a person reads it.
func (f Finding) String() string {
	where := fmt.Sprintf("record %d", f.First)
	if f.Last > f.First {
		where = fmt.Sprintf("records %d to %d", f.First, f.Last)
	}
	text := fmt.Sprintf("%s: %s: %s", f.Replica, where, f.Fault)
	if f.Detail != "" {
		text += " (" + f.Detail + ")"
	}
	return text
}

// Verified says what was looked at of one log.
type Verified struct {
	Replica string `json:"log"`
	// Records are those that were compared with their hashes, Pruned those of which
	// hashes alone are left, Unsigned those behind the last checkpoint.
	Records  uint64 `json:"records"`
	Pruned   uint64 `json:"pruned"`
	Unsigned uint64 `json:"unsigned"`
	// PrunedBy is the log whose word alone it is that so many were pruned, and not
	// dropped: it is as good as that log's key. Empty is this log itself.
	PrunedBy string `json:"pruned_by,omitempty"`
	// Checkpoints is how many signatures were checked; Signed is the time of the last.
	Checkpoints int       `json:"checkpoints"`
	Signed      time.Time `json:"signed,omitzero"`
}

// Report is the outcome of a verification: no findings is good.
type Report struct {
	Logs     []Verified `json:"logs"`
	Findings []Finding  `json:"findings"`
}

// VerifyOptions are what a verification believes.
type VerifyOptions struct {
	// Keys are the public keys of the logs, from a place that who could change the log
	// could not change.
	Keys []string
	// Trusted are signed checkpoints from elsewhere: published ones, or those that
	// another log's checkpoints name.
	Trusted [][]byte
}

// maxFindings bounds a report: a log that is damaged everywhere is told of once.
const maxFindings = 1000

// Verify compares every record, hash and checkpoint of the evidence with each other
// and with what was signed. The error is of evidence that can't be read at all.
func Verify(ctx context.Context, e Evidence, o VerifyOptions) (*Report, error) {
	v := &verification{evidence: e, keys: make(map[string]string), trusted: make(map[string][]anchor), pruned: make(map[string]byOther), report: new(Report)}
	for _, key := range o.Keys {
		name, _, _ := strings.Cut(key, "+")
		v.keys[name] = key
	}
	for _, note := range o.Trusted {
		v.trust(note)
	}
	states, err := e.States(ctx)
	if err != nil {
		return nil, err
	}
	if err := v.witnesses(ctx, states); err != nil {
		return nil, err
	}
	there := make(map[string]bool)
	for _, s := range states {
		there[s.Replica] = true
		if err := v.log(ctx, s); err != nil {
			return nil, err
		}
	}
	if len(states) == 0 { // an empty file is no log
		for name := range v.keys {
			if v.trusted[name] == nil {
				v.found(Finding{Replica: name, Fault: Vanished, Detail: "its key is there, and of no log a record"})
			}
		}
	}
	for origin, anchors := range v.trusted {
		if !there[origin] {
			last := anchors[len(anchors)-1]
			v.found(Finding{Replica: origin, Fault: Vanished, Last: last.size - 1, Detail: last.from})
		}
	}
	return v.report, nil
}

type verification struct {
	evidence Evidence
	keys     map[string]string
	trusted  map[string][]anchor // by log
	pruned   map[string]byOther  // by log
	report   *Report
}

// byOther is up to where another log has signed that this one was pruned.
type byOther struct {
	to   uint64
	from string
}

// anchor is what a log is known to have been.
type anchor struct {
	size uint64
	root merkle.Hash
	from string
}

func (v *verification) found(f Finding) {
	if len(v.report.Findings) < maxFindings {
		v.report.Findings = append(v.report.Findings, f)
	}
}

// open checks a checkpoint's signature.
func (v *verification) open(note []byte) (merkle.Statement, error) {
	claimed, err := merkle.Unsigned(note)
	if err != nil {
		return claimed, err
	}
	key, known := v.keys[claimed.Origin]
	if !known {
		return claimed, fmt.Errorf("the public key of %s is not known", claimed.Origin)
	}
	return merkle.Open(note, key)
}

// trust takes a checkpoint from elsewhere.
func (v *verification) trust(note []byte) {
	s, err := v.open(note)
	if err != nil {
		v.found(Finding{Replica: s.Origin, Fault: Unsigned, Detail: "a checkpoint from elsewhere: " + err.Error()})
		return
	}
	v.anchor(s.Origin, anchor{s.Size, s.Root, "a checkpoint of " + s.Time.Format(time.RFC3339)})
	v.others(s)
}

// others takes what a checkpoint says of other logs.
func (v *verification) others(s merkle.Statement) {
	for _, o := range s.Others {
		v.anchor(o.Origin, anchor{o.Size, o.Root, "named by " + s.Origin})
	}
	for _, p := range s.Pruned {
		if p.To > v.pruned[p.Origin].to {
			v.pruned[p.Origin] = byOther{p.To, s.Origin}
		}
	}
}

func (v *verification) anchor(origin string, a anchor) {
	if a.size > 0 {
		v.trusted[origin] = append(v.trusted[origin], a)
	}
}

// witnesses reads what each log's last checkpoint says of the others.
func (v *verification) witnesses(ctx context.Context, states []State) error {
	for _, s := range states {
		if s.Last.Size == 0 {
			continue
		}
		last, err := v.open(s.Last.Note)
		if err != nil {
			continue // told of with its log
		}
		v.others(last)
	}
	return ctx.Err()
}

// log verifies one log: its leaves, records and checkpoints are read side by side.
func (v *verification) log(ctx context.Context, s State) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	records, stopRecords := iter.Pull2(v.evidence.Search(ctx, Query{Replica: s.Replica, Oldest: true}))
	defer stopRecords()
	checkpoints, stopCheckpoints := iter.Pull2(v.evidence.Checkpoints(ctx, s.Replica, 0))
	defer stopCheckpoints()
	w := &walk{verification: v, state: s, next: records, checkpoints: checkpoints, sum: Verified{Replica: s.Replica, Pruned: s.First}, anchors: make(map[uint64][]anchor)}
	for _, a := range v.trusted[s.Replica] {
		w.anchors[a.size] = append(w.anchors[a.size], a)
	}
	if err := errors.Join(w.pull(), w.pullCheckpoint()); err != nil {
		return err
	}
	for piece, err := range v.evidence.Leaves(ctx, s.Replica, 0) {
		if err != nil {
			return err
		}
		for _, leaf := range piece {
			if w.tree.Size() == s.Size {
				break // written since the verification began
			}
			if err := w.leaf(leaf); err != nil {
				return err
			}
		}
	}
	grown, err := v.size(ctx, s.Replica)
	if err != nil {
		return err
	}
	if err := w.end(grown); err != nil {
		return err
	}
	v.report.Logs = append(v.report.Logs, w.sum)
	return ctx.Err()
}

// size is how many records a log has by now.
func (v *verification) size(ctx context.Context, replica string) (uint64, error) {
	states, err := v.evidence.States(ctx)
	for _, s := range states {
		if s.Replica == replica {
			return s.Size, err
		}
	}
	return 0, err
}

// PrunedTo is what a record says of how far the records of its log were deleted, the
// last itself not included; 0 is nothing.
func PrunedTo(r *Record) uint64 {
	to, err := strconv.ParseUint(r.Object, 10, 64)
	if r.Kind != KindPrune || err != nil {
		return 0
	}
	return to
}
