package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// TestACutOffBatch: a connection that breaks anywhere in a batch, in the middle of a COPY
// as well, leaves all of it or nothing; what is appended again is there once, and another
// replica writes on meanwhile.
func TestACutOffBatch(t *testing.T) {
	server := pgtest.Start(t)
	way := newWay(t, server.Socket())
	direct := server.Database(t)
	l, other := open(t, way.url(direct)), open(t, direct)
	defer func() { must(t, l.Close()); must(t, other.Close()) }()
	const batch, rounds, most = 700, 25, 150_000 // bytes: a batch has a few more
	all, others := audittest.Infers("cut", 0, batch*rounds), audittest.Infers("other", 0, 20*rounds)
	must(t, l.Append(t.Context(), audit.Batch{Replica: "cut"}))
	rng := rand.New(rand.NewPCG(5, 6))
	failed := 0
	for i := range rounds {
		way.breakAfter(1 + rng.IntN(most))
		var both sync.WaitGroup
		both.Go(func() {
			if err := other.Append(t.Context(), audit.Batch{Replica: "other", Entries: others[20*i : 20*(i+1)]}); err != nil {
				t.Errorf("the other replica: %v", err)
			}
		})
		b := audit.Batch{Replica: "cut", Entries: all[i*batch : (i+1)*batch], Sync: i%2 == 0}
		for l.Append(t.Context(), b) != nil {
			if failed++; failed > 20*rounds {
				t.Fatal("it never gets through")
			}
		}
		both.Wait()
	}
	if failed < rounds/2 {
		t.Errorf("%d attempts failed: the way was hardly cut", failed)
	}
	for name, want := range map[string]int{"cut": len(all), "other": len(others)} {
		if got := places(t, other, audit.Query{Replica: name, Oldest: true}); len(got) != want || got[want-1] != fmt.Sprint(name, "/", want-1) {
			t.Errorf("%s has %d records, want %d", name, len(got), want)
		}
		if got := places(t, other, audit.Query{Replica: name, Verb: "load"}); len(got) != (want+999)/1000 {
			t.Errorf("%s: the index finds %d loads", name, len(got))
		}
	}
	if found, _ := verify(t, other); len(found) > 0 {
		t.Errorf("verified: %v", found)
	}
}

// full has a database say what it says when its disk is full, of all that makes a table
// longer.
const full = `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
	CREATE TRIGGER full_disk BEFORE INSERT ON sluice_audit_head FOR EACH STATEMENT EXECUTE FUNCTION full_disk();
	CREATE TRIGGER full_disk BEFORE INSERT ON sluice_audit_leaf FOR EACH STATEMENT EXECUTE FUNCTION full_disk();`

// TestAFullDiskIsCountedAndToldOf: of two replicas that go on where nothing can be written,
// strict records are refused, what the queue has no place for is counted, and each log says
// how many are missing once there is room.
func TestAFullDiskIsCountedAndToldOf(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	goOn := func(c *audit.Config) {
		c.OnFailure, c.Queue, c.Wait = audit.Continue, 300, 5*time.Second
	}
	all := []*gateway{newGateway(t, url, keyIn(t), goOn), newGateway(t, url, keyIn(t), goOn)}
	l := open(t, url)
	defer func() { must(t, l.Close()) }()
	for _, g := range all {
		g.record(t, 9)
	}
	must(t, l.Exec(t.Context(), full))
	for _, g := range all {
		err := g.Write(t.Context(), audittest.Infer(10), nil)
		if e, ok := access.AsError(err); !ok || e == nil || e.Reason != access.ReasonAuditAway {
			t.Errorf("a strict record: %v", err)
		}
		for i := range 1000 {
			must(t, g.Admit(t.Context()))
			g.Record(audittest.Infer(11+i), nil)
		}
		if s := g.Status(); s.Lost != 701 || s.Queued != 300 || s.Failures == 0 {
			t.Errorf("status is %+v", s)
		}
	}
	must(t, l.Exec(t.Context(), "DROP TRIGGER full_disk ON sluice_audit_head; DROP TRIGGER full_disk ON sluice_audit_leaf"))
	for _, g := range all {
		eventually(t, "what waits is written", func() bool { return g.Status().Queued == 0 })
		must(t, g.Write(t.Context(), audittest.Infer(2000), nil))
		if err := g.Close(); err == nil {
			t.Error("nobody says that records were lost")
		}
		lost := uint64(0)
		for f, err := range l.Search(t.Context(), audit.Query{Replica: g.key.Origin(), Kinds: []audit.Kind{audit.KindGap}}) {
			must(t, err)
			lost += f.Record.Count
		}
		if got := places(t, l, audit.Query{Replica: g.key.Origin(), Kinds: []audit.Kind{audit.KindCall}}); lost != 701 || len(got) != 10+300+1 {
			t.Errorf("%d are said to be lost, %d are there", lost, len(got))
		}
	}
	if found, _ := verify(t, l); len(found) > 0 {
		t.Errorf("verified: %v", found)
	}
}

// TestTwoReplicasOverACrash write as fast as they can; the server crashes in between. What
// each was told is there, and nothing twice.
func TestTwoReplicasOverACrash(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	set := func(c *audit.Config) { c.Batch, c.Queue = time.Millisecond, 100_000 }
	all := []*gateway{newGateway(t, url, keyIn(t), set), newGateway(t, url, keyIn(t), set)}
	const each = 3000
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var load sync.WaitGroup
	begun := make(chan struct{}, len(all))
	for _, g := range all {
		load.Go(func() {
			for i := range each {
				if i == each/3 {
					begun <- struct{}{}
				}
				if i%100 > 0 {
					g.Record(audittest.Infer(i), nil)
				} else if err := g.Write(ctx, audittest.Infer(i), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range all {
		<-begun
	}
	must(t, server.Stop())
	must(t, server.Start())
	load.Wait()
	for _, g := range all {
		if err := g.Close(); err != nil || g.Status().Lost > 0 {
			t.Errorf("%v, %+v", err, g.Status())
		}
	}
	l := open(t, url)
	defer func() { must(t, l.Close()) }()
	for _, g := range all {
		got := make(map[string]int)
		for f, err := range l.Search(t.Context(), audit.Query{Replica: g.key.Origin()}) {
			must(t, err)
			got[f.Record.Call]++
		}
		for call, n := range got {
			if n != 1 {
				t.Fatalf("%s is there %d times", call, n)
			}
		}
		if len(got) != each {
			t.Errorf("%d of %d are there", len(got), each)
		}
	}
	if found, _ := verify(t, l); len(found) > 0 {
		t.Errorf("verified: %v", found)
	}
}
