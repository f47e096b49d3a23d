package postgres_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// TestReplicasNameEachOther: each one's checkpoints name the other's last one, so
// that a whole log, or its end, can't vanish.
func TestReplicasNameEachOther(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	a, b := newGateway(t, url, keyIn(t), nil), newGateway(t, url, keyIn(t), nil)
	a.record(t, 700)
	b.record(t, 20)
	must(t, b.Close()) // which signs
	a.record(t, 5)
	must(t, a.Close())
	l := open(t, url)
	defer func() { must(t, l.Close()) }()
	states, err := l.States(t.Context())
	must(t, err)
	for _, s := range states {
		opened, err := merkle.Unsigned(s.Last.Note)
		must(t, err)
		if s.Replica == a.key.Origin() && (len(opened.Others) != 1 || opened.Others[0].Origin != b.key.Origin() || opened.Others[0].Size != 21) {
			t.Errorf("%s names %+v", s.Replica, opened.Others)
		}
	}
	if found, report := verify(t, l); len(found) > 0 || len(report.Logs) != 2 {
		t.Fatalf("verified: %v, %+v", found, report)
	}
	must(t, l.Exec(t.Context(), "UPDATE sluice_audit_replica SET size = 10 WHERE name = $1", b.key.Origin()))
	must(t, l.Exec(t.Context(), "DELETE FROM sluice_audit_head WHERE replica = (SELECT id FROM sluice_audit_replica WHERE name = $1) AND first >= 10", b.key.Origin()))
	must(t, l.Exec(t.Context(), "DELETE FROM sluice_audit_checkpoint WHERE replica = (SELECT id FROM sluice_audit_replica WHERE name = $1)", b.key.Origin()))
	if found, _ := verify(t, l); !slices.Contains(found, b.key.Origin()+" truncated") {
		t.Errorf("a log whose end and checkpoints are gone: %v", found)
	}
	must(t, l.Exec(t.Context(), "DELETE FROM sluice_audit_replica WHERE name = $1", b.key.Origin()))
	if found, _ := verify(t, l); !slices.Equal(found, []string{b.key.Origin() + " vanished"}) {
		t.Errorf("a whole log gone: %v", found)
	}
}

// TestPagesOfSeveral pages through three logs that grow meanwhile: nothing is
// skipped, nothing comes twice, and by and large times are in order.
func TestPagesOfSeveral(t *testing.T) {
	l := open(t, pgtest.Start(t).Database(t))
	defer func() { must(t, l.Close()) }()
	sizes := map[string]int{}
	grow := func(name string, n int) {
		at := sizes[name]
		must(t, l.Append(t.Context(), audit.Batch{Replica: name, Entries: audittest.Infers(name, at, at+n)}))
		sizes[name] += n
	}
	for i := range 12 {
		grow("a", 100)
		grow("b", 7)
		if i%3 == 0 {
			grow("it's a \"c\"", 600)
		}
	}
	for _, oldest := range []bool{true, false} {
		for _, model := range []string{"", "model-3"} {
			want := places(t, l, audit.Query{Oldest: oldest, Model: model})
			q := audit.Query{Oldest: oldest, Model: model, Limit: 41}
			var got []string
			for n, grown := -1, 0; n != len(got); {
				n = len(got)
				for f, err := range l.Search(t.Context(), q) {
					must(t, err)
					got, q.After = append(got, f.Record.Replica+"/"+f.Record.Call), f.Cursor
				}
				if grown++; grown%3 == 0 && grown < 60 {
					grow("b", 2)
					grow("new"+model, 1)
				}
			}
			slices.Sort(got)
			if once := slices.Compact(slices.Clone(got)); len(once) != len(got) {
				t.Errorf("oldest %v, %q: %d of %d come twice", oldest, model, len(got)-len(once), len(got))
			}
			if len(got) < len(want) || !oldest && len(got) != len(want) {
				t.Errorf("oldest %v, %q: %d, want %d at least", oldest, model, len(got), len(want))
			}
		}
	}
	var before time.Time
	for f, err := range l.Search(t.Context(), audit.Query{Until: audittest.Began.Add(80 * time.Millisecond)}) {
		must(t, err)
		if !before.IsZero() && f.Record.Time.After(before) {
			t.Fatalf("%v after %v", f.Record.Time, before)
		}
		before = f.Record.Time
	}
	for _, replica := range []string{"b", "it's a \"c\""} {
		if got := places(t, l, audit.Query{Replica: replica}); len(got) != sizes[replica] || !strings.HasPrefix(got[0], replica+"/") {
			t.Errorf("%s alone: %d", replica, len(got))
		}
	}
}
