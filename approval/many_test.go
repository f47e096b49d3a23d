package approval_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/sqlite"
	"github.com/sluice-gateway/sluice/store/storetest"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"

	"github.com/sluice-gateway/sluice/store/postgres"
)

const many = 1000

// someone's call, of which there are many.
func someones(i int) *approval.Ask {
	a := unload()
	a.Principal = person(fmt.Sprint("user", i))
	return a
}

func TestManyHeldCallsAreReleasedByHintsAndNotByPolls(t *testing.T) {
	bubble(t, func(r *rig) {
		other, _ := r.replica(r.store.Again())
		var calls []<-chan call
		for i := range many {
			done := make(chan call, 1)
			go func() {
				got, err := other.Admit(r.t.Context(), someones(i))
				done <- call{approval: got, err: err}
			}()
			calls = append(calls, done)
		}
		synctest.Wait()
		time.Sleep(time.Second) // away from the polls
		all, err := r.engine.List(r.t.Context(), approval.Filter{State: approval.Pending})
		if err != nil || len(all) != many {
			t.Fatalf("%d requests, %v", len(all), err)
		}
		began := time.Now()
		for _, request := range all {
			r.approve(carol, request.ID)
		}
		for _, c := range calls {
			r.passed(c)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("released after %v", took)
		}
	})
}

// TestAHeldCallIsSmall counts what calls cost while they wait, their goroutines
// included.
func TestAHeldCallIsSmall(t *testing.T) {
	s := storetest.NewMemory()
	defer s.Close()
	e := engineOn(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	before := memory()
	for i := range many {
		ended.Go(func() { _, _ = e.Admit(ctx, someones(i)) })
	}
	awaitHeld(t, e, many)
	each := int64(memory()-before) / many
	t.Logf("a held call costs %d bytes, what the store in memory keeps of it included", each)
	if each > 64<<10 {
		t.Errorf("a held call costs %d bytes, more than 64 KiB", each)
	}
	cancel()
	ended.Wait()
}

func memory() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// engineOn runs an engine until the test ends.
func engineOn(t testing.TB, s store.Store) *approval.Engine {
	t.Helper()
	e := approval.New(approval.EngineOptions{Store: s, Config: approval.Config{Held: 2 * many, HeldPerPrincipal: 2 * many}})
	e.Replace(&approval.Rules{Guards: map[string][32]byte{"unload-prod": {1}}})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { e.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return e
}

// awaitHeld waits until so many calls are held.
func awaitHeld(t testing.TB, e *approval.Engine, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); runtime.Gosched() {
		all, err := e.List(t.Context(), approval.Filter{State: approval.Pending})
		if err != nil {
			t.Fatal(err)
		}
		held := 0
		for _, request := range all {
			held += e.Held(request.ID)
		}
		if held == n {
			return
		}
	}
	t.Fatal("the calls are not held")
}

// BenchmarkRelease has a thousand calls wait on one replica, and approves them on
// another: all by one approval, or each by its own. after/ms is the time from the
// last approval to the release of the last call, all/ms that from the first one.
func BenchmarkRelease(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) (here, there store.Store){
		"memory": func(*testing.B) (store.Store, store.Store) {
			m := storetest.NewMemory()
			return m, m.Again()
		},
		"sqlite": func(b *testing.B) (store.Store, store.Store) {
			s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "sluice.db"))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = s.Close() })
			return s, s
		},
		"postgres": func(b *testing.B) (store.Store, store.Store) {
			url := pgtest.Start(b).Database(b)
			var all [2]store.Store
			for i := range all {
				s, err := postgres.Open(b.Context(), url, postgres.Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = s.Close() })
				all[i] = s
			}
			return all[0], all[1]
		},
	} {
		for kind, ask := range map[string]func(i int) *approval.Ask{
			"one request":       func(int) *approval.Ask { return unload() },
			"a request of each": someones,
		} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				for range b.N {
					b.StopTimer()
					here, there := open(b)
					release(b, engineOn(b, here), engineOn(b, there), ask)
				}
			})
		}
	}
}

func release(b *testing.B, here, there *approval.Engine, ask func(i int) *approval.Ask) {
	b.Helper()
	var ended sync.WaitGroup
	for i := range many {
		ended.Go(func() {
			if _, err := here.Admit(b.Context(), ask(i)); err != nil {
				b.Error(err)
			}
		})
	}
	awaitHeld(b, here, many)
	all, err := there.List(b.Context(), approval.Filter{State: approval.Pending})
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	b.StartTimer()
	for _, request := range all {
		if _, err := there.Approve(b.Context(), carol, request.ID, approval.Answer{}); err != nil {
			b.Fatal(err)
		}
	}
	last := time.Now()
	ended.Wait()
	b.StopTimer()
	b.ReportMetric(float64(time.Since(last).Microseconds())/1000, "after/ms")
	b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "all/ms")
}

// BenchmarkAllows is what a call costs that no role allows, on a gateway where
// nobody, or somebody else, has a grant of access.
func BenchmarkAllows(b *testing.B) {
	e := engineOn(b, storetest.NewMemory())
	b.ReportAllocs()
	for b.Loop() {
		if e.Allows(alice, access.Unload, "simple") != nil {
			b.Fatal("allowed")
		}
	}
}
