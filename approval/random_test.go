package approval_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/store/storetest"
)

// world is a few replicas on one store that people do things to, and what must
// hold whatever they do.
type world struct {
	*rig
	rand   *rand.Rand
	stores []*storetest.Memory
	here   []*approval.Engine

	mu     sync.Mutex
	passed map[string]int // calls by grant
	open   int            // calls that have not ended
}

var people = []*access.Principal{alice, carol, dave, eve, person("frank", "approvers"), person("grace", "leads")}

func (w *world) engine() *approval.Engine { return w.here[w.rand.IntN(len(w.here))] }

// begin makes a call with random terms: one of a few, so that many are the same.
func (w *world) begin() {
	i := w.rand.IntN(4)
	a := unload(func(tt *access.Terms) { tt.Count, tt.Uses, tt.Grant = 1+i%2, i, time.Duration(1+i)*time.Minute })
	a.Digest[0] = byte(i)
	a.Principal = people[w.rand.IntN(2)*3] // alice or eve
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Duration(1+w.rand.IntN(600))*time.Second)
	e := w.engine()
	w.mu.Lock()
	w.open++
	w.mu.Unlock()
	go func() {
		defer cancel()
		got, err := e.Admit(ctx, a)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.open--
		if err == nil {
			w.passed[got.Grant]++
			if len(got.Approvers) < a.Needs[0].Terms.Count || slices.Contains(got.Approvers, a.Principal.ID()) {
				w.t.Errorf("a call passed by %+v", got)
			}
			return
		}
		if e, ok := access.AsError(err); !errors.Is(err, context.Canceled) && (!ok || e.Kind == access.Internal) {
			w.t.Errorf("a call ended with %v", err)
		}
	}()
}

// step does one thing at random.
func (w *world) step() {
	all, _ := w.here[0].List(w.t.Context(), approval.Filter{})
	id := "none"
	if len(all) > 0 {
		id = all[max(0, len(all)-1-w.rand.IntN(5))].ID
	}
	who, e := people[w.rand.IntN(len(people))], w.engine()
	switch w.rand.IntN(12) {
	case 0, 1, 2, 3:
		w.begin()
	case 4, 5, 6:
		go func() { _, _ = e.Approve(w.t.Context(), who, id, approval.Answer{}) }()
	case 7:
		go func() { _, _ = e.Deny(w.t.Context(), who, id, approval.Answer{}) }()
	case 8:
		grants, _ := w.here[0].ListGrants(w.t.Context(), approval.Filter{State: approval.Live})
		if len(grants) > 0 {
			go func() { _, _ = e.Revoke(w.t.Context(), who, grants[0].ID, "", false) }()
		}
	case 9:
		s := w.stores[1+w.rand.IntN(len(w.stores)-1)]
		s.SetAway(true)
		time.AfterFunc(time.Duration(w.rand.IntN(90))*time.Second, func() { s.SetAway(false) })
	default:
		time.Sleep(time.Duration(w.rand.IntN(60)) * time.Second)
	}
	if w.rand.IntN(3) > 0 {
		synctest.Wait()
	}
}

// check looks at all that is kept.
func (w *world) check() {
	w.t.Helper()
	requests, err := w.here[0].List(w.t.Context(), approval.Filter{})
	if err != nil {
		w.t.Fatal(err)
	}
	open := map[string]bool{}
	for _, r := range requests {
		voters := map[string]bool{r.Requester.ID(): true}
		for _, v := range r.Approvals {
			if voters[v.By.ID()] {
				w.t.Errorf("%s is approved twice, or by its requester: %+v", r.ID, r.Approvals)
			}
			voters[v.By.ID()] = true
		}
		if (r.State == approval.Approved) != (r.Grant != "") || r.State == approval.Approved && len(r.Approvals) != r.Count || r.State != approval.Approved && len(r.Approvals) >= r.Count {
			w.t.Errorf("%s is %s by %d of %d, with grant %q", r.ID, r.State, len(r.Approvals), r.Count, r.Grant)
		}
		if r.State == approval.Pending {
			if open[r.Digest] {
				w.t.Errorf("two requests of one call are open: %s", r.ID)
			}
			open[r.Digest] = true
		}
	}
	grants, err := w.here[0].ListGrants(w.t.Context(), approval.Filter{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range grants {
		if g.Uses > 0 && (w.passed[g.ID] > g.Used || g.Used > g.Uses) {
			w.t.Errorf("grant %s of %d uses was used %d times, and let %d calls through", g.ID, g.Uses, g.Used, w.passed[g.ID])
		}
	}
}

// TestWhateverPeopleDo does a thousand things at random to three replicas, of
// which the stores of two go away now and then.
func TestWhateverPeopleDo(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(r *rig) {
				w := &world{rig: r, rand: rand.New(rand.NewPCG(seed, 1)), passed: map[string]int{}, stores: []*storetest.Memory{r.store}, here: []*approval.Engine{r.engine}}
				for range 2 {
					s := r.store.Again()
					e, _ := r.replica(s)
					w.stores, w.here = append(w.stores, s), append(w.here, e)
				}
				for range 250 {
					w.step()
				}
				for _, s := range w.stores {
					s.SetAway(false)
				}
				synctest.Wait()
				w.check()
				time.Sleep(20 * time.Minute) // everything ends
				synctest.Wait()
				w.check()
				if w.open > 0 || w.count(approval.Pending) > 0 {
					t.Errorf("%d calls and %d requests have no end", w.open, w.count(approval.Pending))
				}
				if live, _ := r.engine.ListGrants(r.t.Context(), approval.Filter{State: approval.Live}); len(live) > 0 {
					t.Errorf("%d grants have no end", len(live))
				}
				if len(w.passed) == 0 {
					t.Error("nothing was let through: the test shows little")
				}
			})
		})
	}
}
