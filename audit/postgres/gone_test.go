package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/payload"
	"github.com/sluice-gateway/sluice/audit/postgres"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// pruning has a gateway keep its records for a day: audittest's are older.
func pruning(c *audit.Config) { c.Retain = day }

// eventually waits, for a bounded time, until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after 30s: %s", what)
		}
	}
}

func state(t *testing.T, l *postgres.Log, replica string) audit.State {
	t.Helper()
	states, err := l.States(t.Context())
	must(t, err)
	for _, s := range states {
		if s.Replica == replica {
			return s
		}
	}
	return audit.State{}
}

// TestAGoneReplicaIsPrunedByOthers, however many there are, once; the chain of what it has
// left still verifies, also when those who pruned it are gone themselves.
func TestAGoneReplicaIsPrunedByOthers(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	gone := newGateway(t, url, keyIn(t), nil)
	p := &audit.Payload{ID: "said", Key: "a day's", Body: []byte("x"), Words: []uint64{1}}
	gone.Record(audittest.Infer(0), p)
	gone.record(t, 1500)
	must(t, gone.Close())
	name := gone.key.Origin()
	l := open(t, url)
	defer func() { must(t, l.Close()) }()
	if _, err := l.Payload(t.Context(), "said"); err != nil {
		t.Fatal(err)
	}
	early := newGateway(t, url, keyIn(t), pruning)
	early.record(t, 1)
	must(t, early.Close())
	if s := state(t, l, name); s.First != 0 {
		t.Fatalf("a replica that has just stopped is pruned to %d", s.First)
	}
	must(t, l.Exec(t.Context(), "UPDATE sluice_audit_checkpoint SET time = time - 7200000000"))

	keys := []string{keyIn(t), keyIn(t), keyIn(t)}
	all := make([]*gateway, len(keys))
	var starting sync.WaitGroup
	for i, key := range keys {
		starting.Go(func() { all[i] = newGateway(t, url, key, pruning) })
	}
	starting.Wait()
	eventually(t, "all of the gone replica's records are pruned", func() bool {
		s := state(t, l, name)
		return s.First == s.Size
	})
	eventually(t, "its payload is gone", func() bool {
		_, err := l.Payload(t.Context(), "said")
		return errors.Is(err, audit.ErrNotFound)
	})
	if n := said(t, l, name); n != 1 {
		t.Errorf("%d records say that it was pruned, want 1", n)
	}
	found, report := verify(t, l)
	by := ""
	for _, v := range report.Logs {
		if v.Replica == name {
			by = v.PrunedBy
		}
	}
	if len(found) > 0 || !slices.ContainsFunc(all, func(g *gateway) bool { return g.key.Origin() == by }) {
		t.Errorf("verified: %v, pruned by %q", found, by)
	}
	for i := range all { // each starts again, and signs again
		must(t, all[i].Close())
		all[i] = newGateway(t, url, keys[i], pruning)
		all[i].record(t, 3)
		must(t, all[i].Close())
	}
	if found, _ := verify(t, l); len(found) > 0 {
		t.Errorf("verified once all have started again: %v", found)
	}
	// It comes back, and goes on with its chain.
	gone = newGateway(t, url, gone.path, nil)
	gone.record(t, 700)
	must(t, gone.Close())
	if found, _ := verify(t, l); len(found) > 0 || len(places(t, l, audit.Query{Replica: name})) != 701 {
		t.Errorf("verified once it is back: %v", found)
	}
}

// plain is no sealing at all.
type plain struct{}

func (plain) Seal(_, key []byte) ([]byte, error)    { return slices.Clone(key), nil }
func (plain) Open(_, sealed []byte) ([]byte, error) { return slices.Clone(sealed), nil }

// TestKeysOfAGoneReplicaAreDeleted by the others, at the same time, and what was sealed
// with them; those of days that are kept stay.
func TestKeysOfAGoneReplicaAreDeleted(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	logs := []*postgres.Log{open(t, url), open(t, url)}
	old, young := "2026-03-01/gone", "2026-03-09/gone"
	all := audittest.Infers("gone", 0, 4)
	for i, key := range []string{old, young} {
		must(t, logs[0].PutKey(t.Context(), audit.Key{ID: key, Sealed: make([]byte, 32)}))
		all[i].Payload = &audit.Payload{ID: key, Key: key, Body: []byte("x")}
	}
	must(t, logs[0].Append(t.Context(), audit.Batch{Replica: "gone", Entries: all}))
	var both sync.WaitGroup
	for i, l := range logs {
		keeper, err := payload.New(payload.Options{Replica: fmt.Sprint("alive", i), Masker: func(string) payload.Masker { return nil }, Sealer: plain{}, Store: l})
		must(t, err)
		defer keeper.Close(t.Context())
		both.Go(func() {
			if _, err := keeper.Shred(t.Context(), audittest.Began.Add(7*day)); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	keys, err := logs[0].Keys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].ID != young {
		t.Errorf("keys are %v, %v", keys, err)
	}
	if _, err := logs[0].Payload(t.Context(), old); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("what was sealed with a key that is gone: %v", err)
	}
	if _, err := logs[0].Payload(t.Context(), young); err != nil {
		t.Error(err)
	}
	must(t, logs[0].Close())
	must(t, logs[1].Close())
}

// said counts the records that say of a log that it was pruned by another.
func said(t *testing.T, l *postgres.Log, replica string) (n int) {
	t.Helper()
	for f, err := range l.Search(t.Context(), audit.Query{Kinds: []audit.Kind{audit.KindPrune}}) {
		must(t, err)
		if strings.HasPrefix(f.Record.Object, replica+"/") {
			n++
		}
	}
	return n
}

// TestAPausedReplicaIsNotGone: as long as its connection lives nobody else prunes its log;
// and where the server has given that up, it goes on when it is back.
func TestAPausedReplicaIsNotGone(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	paused, other := open(t, url), open(t, url)
	all := audittest.Infers("paused", 0, 1900)
	must(t, paused.Append(t.Context(), audit.Batch{Replica: "paused", Entries: all[:1200]}))
	must(t, other.Append(t.Context(), audit.Batch{Replica: "other", Entries: audittest.Infers("other", 0, 3)}))
	asked, refused := 0, errors.New("not recorded")
	agree := func(context.Context) error { asked++; return nil }
	for _, replica := range []string{"paused", "other"} {
		if n, err := other.PruneGone(t.Context(), replica, 1000, agree); n != 0 || err != nil || asked != 0 || state(t, other, replica).First != 0 {
			t.Errorf("of %s, which lives, %d were pruned, asked %d times: %v", replica, n, asked, err)
		}
	}
	must(t, other.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"))
	eventually(t, "its lock is free", func() bool {
		_, err := other.PruneGone(t.Context(), "paused", 1000, func(context.Context) error { return refused })
		return errors.Is(err, refused)
	})
	if s := state(t, other, "paused"); s.First != 0 {
		t.Errorf("pruned to %d without a record", s.First)
	}
	eventually(t, "it is pruned", func() bool { // the server ends the connection before in its own time
		n, err := other.PruneGone(t.Context(), "paused", 1000, agree)
		must(t, err)
		return n == 1000
	})
	for range 3 {
		if n, err := other.PruneGone(t.Context(), "paused", 1000, agree); n != 0 || err != nil || asked != 1 {
			t.Errorf("again %d were pruned, asked %d times: %v", n, asked, err)
		}
	}
	eventually(t, "it goes on", func() bool { // the first try finds the connection gone
		return paused.Append(t.Context(), audit.Batch{Replica: "paused", Entries: all[1100:]}) == nil
	})
	if got := places(t, other, audit.Query{Replica: "paused", Oldest: true}); len(got) != 900 || got[0] != "paused/1000" {
		t.Errorf("%d records", len(got))
	}
	// Here nothing signed says that they were pruned; all else is as it was.
	if found, report := verify(t, other); len(found) != 1 || found[0] != "paused dropped" || report.Findings[0].Last != 999 {
		t.Errorf("verified: %+v", report)
	}
	must(t, paused.Close())
	must(t, other.Close())
}
