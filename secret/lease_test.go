package secret_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/storetest"
)

// in runs a test in a bubble whose clock stands still until all wait.
func in(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// heard are the events of one credential.
func (r *rig) heard(t testing.TB, name string) func() string {
	t.Helper()
	var mu sync.Mutex
	var all []string
	names := map[secret.Event]string{secret.Rotated: "rotated", secret.Closed: "closed", secret.Revoked: "revoked"}
	t.Cleanup(r.Watch(name, func(e secret.Event) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, names[e])
	}))
	return func() string {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		got := strings.Join(all, " ")
		all = nil
		return got
	}
}

func (r *rig) open(t testing.TB, name string) secret.Leased {
	t.Helper()
	for _, l := range r.Leases(true) {
		if l.Name == name {
			return l
		}
	}
	return secret.Leased{Name: name}
}

// TestAnOpenedCredentialIsShared: the store is read once, and each holder is known.
func TestAnOpenedCredentialIsShared(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		r := start(t, kept, nil)
		r.put(t, "gpu", secret.Bearer, "hunter2")
		var gets atomic.Int32
		kept.Before(func(op string, _ []store.Change) error {
			if op == "get" {
				gets.Add(1)
				time.Sleep(time.Millisecond) // so that all ask at once
			}
			return nil
		})
		var all []*secret.Lease
		var mu sync.Mutex
		var calls sync.WaitGroup
		for i := range 50 {
			calls.Go(func() {
				l, err := r.Lease(t.Context(), "gpu", secret.Holder{Who: "https://issuer#bob", Call: fmt.Sprint(i)})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				all = append(all, l)
				mu.Unlock()
			})
		}
		calls.Wait()
		if n := gets.Load(); n != 1 {
			t.Errorf("the store was asked %d times", n)
		}
		if got := r.open(t, "gpu"); !got.Open || got.Count != 50 || len(got.Leases) != 50 || got.Leases[0].Who != "https://issuer#bob" {
			t.Errorf("leases are %+v", got)
		}
		text := all[0].Value().Text()
		for i, l := range all {
			l.End(time.Now())
			l.End(time.Now()) // twice is once
			if got := r.open(t, "gpu"); got.Count != 49-i {
				t.Fatalf("%d leases after %d ended", got.Count, i+1)
			}
		}
		if text.Text() != "hunter2" {
			t.Error("it was wiped at once")
		}
		kept.Before(nil)
	})
}

// TestIdleCredentialsAreWiped, but not while a call has one, however long that is.
func TestIdleCredentialsAreWiped(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, storetest.NewMemory(), nil)
		r.put(t, "gpu", secret.Bearer, "hunter2")
		heard := r.heard(t, "gpu")
		l := r.lease(t, "gpu", call)
		text := l.Value().Text()
		time.Sleep(time.Hour)
		if text.Text() != "hunter2" || heard() != "" {
			t.Error("it was wiped under a call")
		}
		l.End(time.Now())
		time.Sleep(59 * time.Second)
		own, err := r.Lease(t.Context(), "gpu", secret.Holder{Own: true}) // keeps nothing open
		if err != nil {
			t.Fatal(err)
		}
		own.End(time.Now())
		time.Sleep(3 * time.Second)
		if got := heard(); text.Len() != 0 || got != "closed" || r.open(t, "gpu").Open {
			t.Errorf("an idle credential holds %d bytes, heard %q", text.Len(), got)
		}
		if _, err := r.Lease(t.Context(), "gpu", secret.Holder{Own: true}); !errors.Is(err, secret.ErrClosed) {
			t.Errorf("the gateway's own question opens it: %v", err)
		}
	})
}

// TestBriefLeases: what is for approved calls alone is wiped with the last of them.
func TestBriefLeases(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, storetest.NewMemory(), nil)
		r.put(t, "gpu", secret.Bearer, "hunter2")
		heard := r.heard(t, "gpu")
		brief := call
		brief.Brief = true
		one, two := r.lease(t, "gpu", brief), r.lease(t, "gpu", brief)
		text := one.Value().Text()
		one.End(time.Now())
		if text.Text() != "hunter2" {
			t.Error("wiped under the second call")
		}
		two.End(time.Now())
		if got := heard(); text.Len() != 0 || got != "closed" {
			t.Errorf("%d bytes are left, heard %q", text.Len(), got)
		}
	})
}

// TestRotation: calls that run keep what they have, new ones get the new value at
// once, here and on another replica; the old one is wiped with its last call.
func TestRotation(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		here, there := start(t, kept, nil), start(t, kept.Again(), nil)
		here.put(t, "gpu", secret.Bearer, "hunter2")
		heard := there.heard(t, "gpu")
		old := [2]*secret.Lease{here.lease(t, "gpu", call), there.lease(t, "gpu", call)}
		if _, err := here.Rotate(t.Context(), carol, "gpu", value("hunter3")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i, r := range []*rig{here, there} {
			fresh := r.lease(t, "gpu", call)
			text := old[i].Value().Text()
			if fresh.Value().Text().Text() != "hunter3" || text.Text() != "hunter2" || fresh.Version() <= old[i].Version() {
				t.Errorf("replica %d: the new call has %q, the old one %q", i, fresh.Value().Text().Text(), text.Text())
			}
			old[i].End(time.Now())
			if text.Len() != 0 {
				t.Errorf("replica %d: the old value is left", i)
			}
			fresh.End(time.Now())
		}
		if got := heard(); got != "rotated" {
			t.Errorf("heard %q", got)
		}
	})
}

// TestRevocation: nobody gets a lease any more, on no replica; who watches hears.
func TestRevocation(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		here, there := start(t, kept, nil), start(t, kept.Again(), nil)
		here.put(t, "gpu", secret.Bearer, "hunter2")
		heard := there.heard(t, "gpu")
		l := there.lease(t, "gpu", call)
		defer func() { l.End(time.Now()) }()
		if err := here.Delete(t.Context(), "gpu", true); err != nil {
			t.Fatal(err)
		}
		if got := heard(); got != "revoked" {
			t.Errorf("heard %q", got)
		}
		for _, r := range []*rig{here, there} {
			if _, err := r.Lease(t.Context(), "gpu", call); reason(err) != access.ReasonCredentialAway || !errors.Is(err, store.ErrNotFound) {
				t.Errorf("got %v", err)
			}
		}
		here.put(t, "gpu", secret.Bearer, "hunter3") // and back
		time.Sleep(2 * time.Second)
		again := there.lease(t, "gpu", call)
		if again.Value().Text().Text() != "hunter3" {
			t.Error("the new one is not there")
		}
		again.End(time.Now())
	})
}

// TestStoreAway: what is open stays for its calls, and for new ones as long as it
// may be unconfirmed; what isn't open fails, clearly, and the store is not asked by
// each call.
func TestStoreAway(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		r := start(t, kept, nil)
		r.put(t, "gpu", secret.Bearer, "hunter2")
		r.put(t, "cpu", secret.Bearer, "hunter3")
		l := r.lease(t, "gpu", call)
		kept.SetAway(true)
		synctest.Wait() // what hears of changes has looked at what is open
		var gets atomic.Int32
		kept.Before(func(op string, changes []store.Change) error {
			if op == "get" {
				gets.Add(1)
			}
			return nil
		})
		for range 100 {
			_, err := r.Lease(t.Context(), "cpu", call)
			if e, ok := access.AsError(err); !ok || e.Reason != access.ReasonCredentialAway || e.Kind != access.Unavailable || strings.Contains(e.Message, "cpu") {
				t.Fatalf("got %v", err)
			}
		}
		if n := gets.Load(); n != 1 {
			t.Errorf("the store was asked %d times by a hundred calls", n)
		}
		time.Sleep(9 * time.Minute)
		more := r.lease(t, "gpu", call)
		more.End(time.Now())
		time.Sleep(2 * time.Minute)
		if _, err := r.Lease(t.Context(), "gpu", call); reason(err) != access.ReasonCredentialAway {
			t.Errorf("unconfirmed for too long: %v", err)
		}
		if l.Value().Text().Text() != "hunter2" {
			t.Error("the call that had it lost it")
		}
		kept.Before(nil)
		kept.SetAway(false)
		time.Sleep(2 * time.Second)
		again := r.lease(t, "gpu", call)
		again.End(time.Now())
		l.End(time.Now())
	})
}

// TestACallersEndIsNotTheOthers: who gives up waits no more, and spoils nothing.
func TestACallersEndIsNotTheOthers(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		r := start(t, kept, nil)
		r.put(t, "gpu", secret.Bearer, "hunter2")
		kept.Before(func(op string, _ []store.Change) error {
			if op == "get" {
				time.Sleep(3 * time.Second)
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		patient := make(chan error, 1)
		go func() {
			l, err := r.Lease(context.WithoutCancel(ctx), "gpu", call)
			if err == nil {
				l.End(time.Now())
			}
			patient <- err
		}()
		if _, err := r.Lease(ctx, "gpu", call); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := <-patient; err != nil {
			t.Error(err)
		}
		kept.Before(nil)
	})
}

// TestLastUse is written down now and then, and never the value of a clock's jump.
func TestLastUse(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, storetest.NewMemory(), nil)
		r.put(t, "gpu", secret.Bearer, "hunter2")
		used := func() time.Time {
			all, err := r.List(t.Context(), "", 10)
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			return all[0].Used
		}
		if !used().IsZero() {
			t.Error("used before it was")
		}
		at := time.Now()
		l := r.lease(t, "gpu", call)
		l.End(time.Now())
		time.Sleep(2 * time.Second)
		if got := used(); !got.Equal(at) {
			t.Errorf("used at %v, want %v", got, at)
		}
	})
}

// TestLeasesUnderFire: rotations, removals, idling and calls at once. For the race
// detector; nobody ever sees a wiped or torn value.
func TestLeasesUnderFire(t *testing.T) {
	kept := storetest.NewMemory()
	r := start(t, kept, func(o *secret.Options) { o.Idle = time.Nanosecond })
	r.put(t, "gpu", secret.Bearer, "hunter-0")
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			for range 300 {
				l, err := r.Lease(t.Context(), "gpu", secret.Holder{Who: "w", Brief: true})
				if err != nil {
					if reason(err) != access.ReasonCredentialAway {
						t.Error(err)
					}
					continue
				}
				if got := l.Value().Text().Text(); !strings.HasPrefix(got, "hunter-") {
					t.Errorf("a lease has %q", got)
				}
				if got := l.Value().Metadata()["authorization"]; !strings.HasPrefix(got, "Bearer hunter-") {
					t.Errorf("a lease shows %q", got)
				}
				l.End(time.Now())
			}
		})
	}
	for i := range 50 {
		if _, err := r.Rotate(t.Context(), carol, "gpu", value(fmt.Sprintf("hunter-%d", i))); err != nil {
			t.Error(err)
		}
	}
	calls.Wait()
	if got := r.open(t, "gpu"); got.Count != 0 {
		t.Errorf("%d leases are left", got.Count)
	}
}

func BenchmarkLease(b *testing.B) {
	r := start(b, storetest.NewMemory(), nil)
	r.put(b, "gpu", secret.Bearer, "hunter2")
	held := r.lease(b, "gpu", call)
	defer held.End(time.Now())
	b.ReportAllocs()
	for b.Loop() {
		l, err := r.Lease(context.Background(), "gpu", call)
		if err != nil {
			b.Fatal(err)
		}
		l.End(time.Now())
	}
}
