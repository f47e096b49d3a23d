package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/postgres"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

const day = 24 * time.Hour

// fillDays writes some records on each of some days.
func fillDays(t *testing.T, l *postgres.Log, replica string, days, each int) (all []audit.Entry) {
	t.Helper()
	for d := range days {
		records := make([]*audit.Record, each)
		for i := range records {
			records[i] = audittest.Infer(i)
			records[i].Time = audittest.Began.Add(time.Duration(d)*day + time.Duration(i)*time.Second)
		}
		entries := audittest.Entries(replica, uint64(d*each), records...)
		entries[0].Payload = &audit.Payload{ID: fmt.Sprint(replica, d), Key: "k", Body: []byte("x"), Words: []uint64{uint64(d)}}
		entries[0].Record.Payload = &audit.PayloadRef{ID: entries[0].Payload.ID}
		entries[0] = with(audittest.Entries(replica, uint64(d*each), entries[0].Record)[0], entries[0].Payload)
		must(t, l.Append(t.Context(), audit.Batch{Replica: replica, Entries: entries}))
		all = append(all, entries...)
	}
	return all
}

func with(e audit.Entry, p *audit.Payload) audit.Entry {
	e.Payload = p
	return e
}

func prune(t *testing.T, l *postgres.Log, replica string, before time.Time) int {
	t.Helper()
	to, err := l.Old(t.Context(), replica, before)
	must(t, err)
	n, err := l.Prune(t.Context(), replica, to)
	must(t, err)
	return n
}

func parts(t *testing.T, l *postgres.Log) int64 {
	t.Helper()
	n, err := l.Count(t.Context(), "SELECT count(*) FROM pg_inherits WHERE inhparent = 'sluice_audit_segment'::regclass")
	must(t, err)
	return n
}

// TestDaysAreDropped: what is old is not found at once; its tables go as soon as no
// replica needs them, and the rows of one that nobody prunes don't keep those of
// others for longer than two days.
func TestDaysAreDropped(t *testing.T) {
	l := open(t, pgtest.Start(t).Database(t))
	defer func() { must(t, l.Close()) }()
	const each = 40
	fillDays(t, l, "a", 6, each)
	fillDays(t, l, "b", 6, each)
	if n := parts(t, l); n != 7 { // one is made ahead
		t.Errorf("%d days have tables", n)
	}
	before := audittest.Began.Add(4 * day)
	if n := prune(t, l, "a", before); n != 4*each {
		t.Errorf("pruned %d", n)
	}
	if got := places(t, l, audit.Query{Replica: "a", Oldest: true}); len(got) != 2*each || got[0] != "a/160" {
		t.Errorf("%d of a are found", len(got))
	}
	if got := places(t, l, audit.Query{Words: [][]uint64{{0, 1, 2, 3, 4, 5}}}); len(got) != 8 {
		t.Errorf("words are in %v", got)
	}
	own, err := l.Count(t.Context(), "SELECT count(*) FROM sluice_audit_segment s JOIN sluice_audit_replica r ON r.id = s.replica WHERE r.name = 'a'")
	must(t, err)
	if n := parts(t, l); n != 7 || own != 2 {
		t.Errorf("%d days have tables, %d segments of a", n, own)
	}
	if n := prune(t, l, "b", before); n != 4*each {
		t.Errorf("pruned %d", n)
	}
	if n := parts(t, l); n != 3 {
		t.Errorf("%d days have tables", n)
	}
	if _, err := l.Payload(t.Context(), "a0"); err == nil {
		t.Error("an old payload is there")
	}
	if _, err := l.Payload(t.Context(), "a4"); err != nil {
		t.Error(err)
	}
	for _, replica := range []string{"a", "b"} {
		n := 0
		for piece, err := range l.Leaves(t.Context(), replica, 0) {
			must(t, err)
			n += len(piece)
		}
		if n != 6*each {
			t.Errorf("%s has %d hashes", replica, n)
		}
	}
	if n := prune(t, l, "a", audittest.Began.Add(365*day)); n != 2*each {
		t.Errorf("pruned %d", n)
	}
	if got := places(t, l, audit.Query{}); len(got) != 2*each {
		t.Errorf("%d are left", len(got))
	}
	must(t, l.Append(t.Context(), audit.Batch{Replica: "a", Entries: audittest.Infers("a", 6*each, 6*each+700)}))
	if got := places(t, l, audit.Query{Replica: "a"}); len(got) != 700 {
		t.Errorf("%d came since", len(got))
	}
}

// TestSearchOfDays asks by time and term over many days, in both directions.
func TestSearchOfDays(t *testing.T) {
	l := open(t, pgtest.Start(t).Database(t))
	defer func() { must(t, l.Close()) }()
	all := fillDays(t, l, "a", 12, 90)
	for name, q := range map[string]audit.Query{
		"a subject": {Principal: all[7].Record.Subject}, "a call": {Call: all[7].Record.Call}, "a day": {Since: audittest.Began.Add(3 * day), Until: audittest.Began.Add(4 * day)},
		"until": {Until: audittest.Began.Add(5 * day)}, "since": {Since: audittest.Began.Add(11*day + time.Second)}, "after all": {Since: audittest.Began.Add(20 * day)},
		"model on days": {Model: "model-3", Since: audittest.Began.Add(2*day + 7*time.Second), Until: audittest.Began.Add(9*day + time.Second)},
	} {
		for _, oldest := range []bool{true, false} {
			q.Oldest = oldest
			var want []string
			for i := range all {
				e := all[i]
				if !oldest {
					e = all[len(all)-1-i]
				}
				if q.Matches(e.Record) {
					want = append(want, fmt.Sprint("a/", e.Record.Seq))
				}
			}
			if got := places(t, l, q); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s (oldest %v): %d, want %d", name, oldest, len(got), len(want))
			}
		}
	}
}

// TestAClockThatWasWrong once does not have all that follows kept for ever, nor
// written to tables of the far future.
func TestAClockThatWasWrong(t *testing.T) {
	l := open(t, pgtest.Start(t).Database(t))
	defer func() { must(t, l.Close()) }()
	for i, at := range []time.Time{audittest.Began, time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC), audittest.Began.Add(time.Hour), {}} {
		r := audittest.Infer(i)
		r.Time = at
		must(t, l.Append(t.Context(), audit.Batch{Replica: "a", Entries: audittest.Entries("a", uint64(i), r)}))
	}
	n, err := l.Count(t.Context(), "SELECT count(*) FROM sluice_audit_replica WHERE day > current_date + 1")
	must(t, err)
	if got := places(t, l, audit.Query{Oldest: true}); n != 0 || len(got) != 4 {
		t.Errorf("%d of the future, %v", n, got)
	}
}
