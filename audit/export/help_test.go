package export_test

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/export"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var began = time.Date(2026, 3, 14, 9, 26, 53, 589793000, time.UTC)

// journal is a log in memory, signed up to its end.
type journal struct {
	key     *merkle.Key
	entries []audit.Entry
	tree    merkle.Tree
	signed  audit.Checkpoint
	broken  int     // the search fails there; 0 never
	torn    *[2]int // those from one to the other can't be read, each by itself
	again   bool    // which is said also of what is before the cursor
	read    int     // how many leaves were
}

func newJournal(t testing.TB, n int) *journal {
	t.Helper()
	key, err := merkle.OpenKey(filepath.Join(t.TempDir(), "log.key"))
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{key: key}
	for i := range n {
		j.add(sample(i))
	}
	j.sign(t)
	return j
}

func (j *journal) add(r *audit.Record) {
	r.Replica, r.Seq = j.key.Origin(), uint64(len(j.entries))
	b := r.Append(nil)
	leaf := merkle.Leaf(b)
	j.tree.Append(leaf)
	j.entries = append(j.entries, audit.Entry{Record: r, Bytes: b, Leaf: leaf})
}

func (j *journal) sign(t testing.TB) {
	t.Helper()
	note, err := j.key.Sign(merkle.Statement{Origin: j.key.Origin(), Size: j.tree.Size(), Root: j.tree.Root(), Time: began})
	if err != nil {
		t.Fatal(err)
	}
	j.signed = audit.Checkpoint{Replica: j.key.Origin(), Size: j.tree.Size(), Root: j.tree.Root(), Note: note}
}

func (j *journal) Search(_ context.Context, q audit.Query) iter.Seq2[audit.Found, error] {
	return func(yield func(audit.Found, error) bool) {
		after := -1
		if q.After != "" {
			after, _ = strconv.Atoi(q.After)
		}
		for i, e := range j.entries {
			if j.broken > 0 && i == j.broken {
				yield(audit.Found{}, fmt.Errorf("broken off"))
				return
			}
			if j.torn != nil && i >= j.torn[0] && i <= j.torn[1] {
				if (i > after || j.again) && !yield(audit.Found{}, &audit.DamagedError{Replica: j.key.Origin(), First: uint64(i), Last: uint64(i)}) {
					return
				}
				continue
			}
			if i > after && q.Matches(e.Record) && !yield(audit.Found{Entry: e, Cursor: strconv.Itoa(i)}, nil) {
				return
			}
		}
	}
}

func (j *journal) States(context.Context) ([]audit.State, error) {
	return []audit.State{{Replica: j.key.Origin(), Size: uint64(len(j.entries)), Last: j.signed}}, nil
}

func (j *journal) Leaves(_ context.Context, _ string, from uint64) iter.Seq2[[][32]byte, error] {
	return func(yield func([][32]byte, error) bool) {
		for _, e := range j.entries[from:] {
			if j.read++; !yield([][32]byte{e.Leaf}, nil) {
				return
			}
		}
	}
}

func (j *journal) Checkpoints(context.Context, string, uint64) iter.Seq2[audit.Checkpoint, error] {
	return func(yield func(audit.Checkpoint, error) bool) { yield(j.signed, nil) }
}

var _ audit.Tree = (*journal)(nil)

// sample is the n-th of records that are of all kinds.
func sample(n int) *audit.Record {
	r := &audit.Record{
		Kind: audit.KindCall, Time: began.Add(time.Duration(n) * time.Second), Duration: 1500 * time.Microsecond,
		Subject: []string{"alice", "bob"}[n%2], Issuer: "https://issuer", Name: "Somebody", UserKind: "user", Groups: []string{"a", "b"},
		Peer: netip.MustParseAddr("192.0.2.7"), Door: "grpc", RPC: "ModelInfer", Session: "s1", Call: fmt.Sprint("call", n), Request: "r1",
		Verb: "infer", Model: "m", Version: "1", Verdict: audit.Allowed, Rule: "role model-viewer", Backend: "gpu",
		BytesIn: 10, BytesOut: 20, Inputs: []audit.Tensor{{Name: "x", Datatype: "FP32", Shape: []int64{1, 2}}},
		Masked: map[string]int64{"CARD": 1, "EMAIL": 2}, Payload: &audit.PayloadRef{ID: "p1", Complete: true},
	}
	switch n % 7 {
	case 1:
		r.Verb, r.Verdict, r.Status, r.Reason = "unload", audit.Denied, 7, "NO_ROLE_ALLOWS"
	case 2:
		r.Verb = "load"
		r.Approval = &audit.Approval{Request: "q1", Grant: "g1", Approvers: []string{"carol"}, BreakGlass: true}
	case 3:
		*r = audit.Record{Kind: audit.KindLoginFailed, Time: r.Time, Peer: r.Peer, Status: 16, Verdict: audit.Denied}
	case 4:
		*r = audit.Record{Kind: audit.KindGap, Time: r.Time, Count: 3}
	case 5:
		*r = audit.Record{Kind: audit.KindStrangers, Time: r.Time, Count: 30, Duration: time.Minute}
	}
	return r
}

// exported runs an export into a folder.
func exported(t testing.TB, j *journal, dir string, change func(o *export.Options)) (*export.Manifest, string) {
	t.Helper()
	o := options(t, j, dir)
	if change != nil {
		change(&o)
	}
	m, digest, err := export.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return m, digest
}

func options(t testing.TB, j *journal, dir string) export.Options {
	return export.Options{
		Source: j, Tree: j, Target: export.Folder(dir), Format: export.JSONL, PartRecords: 10, Temp: t.TempDir(),
		Now: func() time.Time { return began.Add(24 * time.Hour) },
	}
}
