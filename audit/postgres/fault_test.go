package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/postgres"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// TestRestartUnderLoad: a server that crashes and comes back, three times, under
// load takes no record: not of those that were synced, nor of those that it had
// said are there and lost with its memory.
func TestRestartUnderLoad(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	g := newGateway(t, url, keyIn(t), func(c *audit.Config) { c.Batch, c.Queue = 5*time.Millisecond, 1_000_000 })
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var mu sync.Mutex
	strict := make(map[string]bool)
	sent := 0
	for k := range 2 {
		load.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				r := audittest.Infer(i)
				r.Call = fmt.Sprintf("%d-%d", k, i)
				if i%20 > 0 {
					g.Record(r, nil)
					mu.Lock()
					sent++
					mu.Unlock()
					if i%5 == 0 {
						time.Sleep(time.Millisecond) // a load, and not a flood
					}
					continue
				}
				call := r.Call
				err := g.Write(t.Context(), r, nil)
				mu.Lock()
				sent++
				strict[call] = err == nil
				mu.Unlock()
			}
		})
	}
	for range 3 {
		time.Sleep(300 * time.Millisecond)
		must(t, server.Stop())
		must(t, server.Start())
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	load.Wait()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	s := g.Status()
	l := open(t, url)
	defer func() { must(t, l.Close()) }()
	have := make(map[string]int)
	for f, err := range l.Search(t.Context(), audit.Query{Oldest: true}) {
		must(t, err)
		have[f.Record.Call]++
	}
	for call, ok := range strict {
		if ok && have[call] != 1 {
			t.Errorf("%s was acknowledged and is there %d times", call, have[call])
		}
	}
	if len(have) != sent || s.Lost != 0 {
		t.Errorf("%d of %d are there, %d counted as lost", len(have), sent, s.Lost)
	}
	if found, _ := verify(t, l); len(found) > 0 {
		t.Errorf("verified: %v", found)
	}
	t.Logf("%d records, %d strict, %d failed attempts", sent, len(strict), s.Failures)
}

// TestASecondProcess of the same key is refused, at its start; and where it got in
// while the first was cut off, the first one's next record is.
func TestASecondProcess(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	first, second := open(t, url), open(t, url)
	must(t, first.Claim(t.Context(), "r", "r+1+key"))
	if err := second.Claim(t.Context(), "r", "r+1+key"); !errors.Is(err, postgres.ErrTaken) {
		t.Errorf("a second process: %v", err)
	}
	all := audittest.Infers("r", 0, 20)
	add := func(l *postgres.Log, entries []audit.Entry) error {
		return l.Append(t.Context(), audit.Batch{Replica: "r", Entries: entries})
	}
	must(t, add(first, all[:5]))
	if err := add(second, all[5:7]); !errors.Is(err, postgres.ErrTaken) {
		t.Errorf("it writes: %v", err)
	}
	// The network, or an operator, cuts the first one off.
	must(t, second.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"))
	err := add(second, all[5:7])
	for tries := 0; tries < 20 && errors.Is(err, postgres.ErrTaken); tries++ { // the server ends it in its own time
		err = add(second, all[5:7])
	}
	must(t, err)
	other := audittest.Infers("r", 0, 20)
	other[5].Leaf[0]++
	if err := add(first, other[5:8]); err == nil {
		t.Error("the first writes on")
	}
	must(t, second.Close())
	if err := add(first, other[5:8]); !errors.Is(err, audit.ErrOutOfOrder) {
		t.Errorf("the first, once it can: %v", err)
	}
	must(t, first.Close())
	third := open(t, url)
	if err := third.Claim(t.Context(), "r", "r+2+another"); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("another key of the same name: %v", err)
	}
	must(t, third.Close())
}

// TestMissingTables: a day's tables that somebody has dropped are made anew; what
// was in them is missed by a verification.
func TestMissingTables(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	l := open(t, url)
	defer func() { must(t, l.Close()) }()
	all := audittest.Infers("r", 0, 2000)
	must(t, l.Append(t.Context(), audit.Batch{Replica: "r", Entries: all[:1000]}))
	for _, table := range []string{"segment", "term", "call", "payload"} {
		must(t, l.Exec(t.Context(), "DROP TABLE sluice_audit_"+table+"_20260301"))
	}
	must(t, l.Append(t.Context(), audit.Batch{Replica: "r", Entries: all[1000:]}))
	if got := places(t, l, audit.Query{Oldest: true}); len(got) != 1000 || got[0] != "r/1000" {
		t.Errorf("%d records", len(got))
	}
	report, err := audit.Verify(t.Context(), l, audit.VerifyOptions{})
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Fault != audit.Dropped || report.Findings[0].Last != 999 {
		t.Errorf("verified: %+v, %v", report, err)
	}
}

// TestABlockedConnection: a network that swallows everything holds up a batch no
// longer than it is let, nor the end of the log; once it is back the batch is there
// once.
func TestABlockedConnection(t *testing.T) {
	server := pgtest.Start(t)
	way := newWay(t, server.Socket())
	direct := server.Database(t)
	l := open(t, way.url(direct))
	all := audittest.Infers("r", 0, 1200)
	must(t, l.Append(t.Context(), audit.Batch{Replica: "r", Entries: all[:3]}))
	way.block()
	for range 2 { // on the connection that was there, and on a new one
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		began := time.Now()
		if err := l.Append(ctx, audit.Batch{Replica: "r", Entries: all[3:1100], Sync: true}); err == nil {
			t.Error("it writes")
		}
		cancel()
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
	}
	way.unblock()
	var err error
	for range 50 { // the server has to notice that the connection before is gone
		if err = l.Append(t.Context(), audit.Batch{Replica: "r", Entries: all[3:1100], Sync: true}); err == nil {
			break
		}
	}
	must(t, err)
	if got := places(t, l, audit.Query{}); len(got) != 1100 {
		t.Errorf("%d records", len(got))
	}
	way.block()
	began := time.Now()
	must(t, l.Close())
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestNewerSchema(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	var all sync.WaitGroup
	for range 5 { // replicas that start at once
		all.Go(func() {
			l, err := postgres.Open(context.Background(), url, postgres.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			_ = l.Close()
		})
	}
	all.Wait()
	l := open(t, url)
	must(t, l.Exec(t.Context(), "INSERT INTO sluice_audit_schema (version) VALUES (99)"))
	if _, err := postgres.Open(t.Context(), url, postgres.Options{}); !errors.Is(err, postgres.ErrSchema) {
		t.Errorf("a newer schema: %v", err)
	}
	must(t, l.Close())
}

func TestConnectionStrings(t *testing.T) {
	for name, c := range map[string]struct{ url, says string }{
		"no connection string":  {"hunter2 and more", "not a connection string"},
		"TLS if nobody objects": {"postgres://u:hunter2@db.example/d", "sslmode=verify-full"},
		"nobody there":          {"postgres://u:hunter2@127.0.0.1:1/d?sslmode=disable&connect_timeout=1", "PostgreSQL"},
	} {
		_, err := postgres.Open(t.Context(), c.url, postgres.Options{})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLostWrites: what the server had said is there, and has not any more after a
// crash, is written again; but not where it was synced, for then the database is
// another.
func TestLostWrites(t *testing.T) {
	l := open(t, pgtest.Start(t).Database(t))
	defer func() { must(t, l.Close()) }()
	all := audittest.Infers("r", 0, 3000)
	add := func(from, to int, sync bool) error {
		return l.Append(t.Context(), audit.Batch{Replica: "r", Entries: all[from:to], Sync: sync})
	}
	forget := func(size int) {
		must(t, l.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"))
		must(t, l.Exec(t.Context(), "UPDATE sluice_audit_replica SET size = $1, sealed = least(sealed, $1)", size))
		for _, table := range []string{"head", "segment", "term", "call", "leaf"} {
			must(t, l.Exec(t.Context(), "DELETE FROM sluice_audit_"+table+" WHERE first >= $1", size))
		}
	}
	until := func(want error, f func() error) {
		t.Helper()
		var err error
		for range 20 { // the first try finds the connection gone
			if err = f(); errors.Is(err, want) {
				return
			}
		}
		t.Fatalf("%v, want %v", err, want)
	}
	must(t, add(0, 10, true))
	must(t, add(10, 30, false))
	must(t, add(30, 700, false))
	forget(10)
	until(nil, func() error { return add(700, 1000, false) })
	if got := places(t, l, audit.Query{Oldest: true}); len(got) != 1000 {
		t.Errorf("%d records", len(got))
	}
	must(t, add(1000, 1100, true))
	forget(10)
	until(audit.ErrOutOfOrder, func() error { return add(1100, 1110, false) })
}
