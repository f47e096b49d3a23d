package approval_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/store"
)

func TestAnApprovalOnOneReplicaReleasesACallOnAnother(t *testing.T) {
	bubble(t, func(r *rig) {
		other, _ := r.replica(r.store.Again())
		call := admit(r.t.Context(), other, unload())
		r.approve(carol, r.pending().ID)
		grant := r.passed(call).Grant
		if again := r.passed(admit(r.t.Context(), other, unload())); again.Grant != grant {
			t.Errorf("a repeat is let through by %s", again.Grant)
		}
		if _, err := r.engine.Revoke(r.t.Context(), alice, grant, "done", false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.waits(admit(r.t.Context(), other, unload()))
	})
}

func TestARevokedGrantIsHeardOf(t *testing.T) {
	bubble(t, func(r *rig) {
		other, _ := r.replica(r.store.Again())
		call := admit(r.t.Context(), other, unload())
		r.approve(carol, r.pending().ID)
		grant := r.passed(call).Grant
		revoked := other.Revoked(grant)
		if revoked == nil || revoked() {
			t.Fatal("a live grant is revoked")
		}
		_, err := r.engine.Revoke(r.t.Context(), eve, grant, "", false)
		refused(t, err, access.PermissionDenied, access.ReasonNotApprover)
		if _, err := r.engine.Revoke(r.t.Context(), eve, grant, "", true); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !revoked() {
			t.Error("the other replica has not heard of it")
		}
		_, err = r.engine.Revoke(r.t.Context(), carol, grant, "", false)
		refused(t, err, access.NeedsApproval, access.ReasonConflict, "over already")
	})
}

func TestARestartInterruptsAndLosesNothing(t *testing.T) {
	bubble(t, func(r *rig) {
		other, stop := r.replica(r.store.Again())
		call := admit(r.t.Context(), other, unload())
		id := r.pending().ID
		stop()
		got := r.ended(call)
		refused(t, got.err, access.Unavailable, access.ReasonInterrupted, id, "repeat")
		if got.approval == nil || got.approval.Request != id {
			t.Errorf("noted with %+v", got.approval)
		}
		refused(t, r.ended(admit(r.t.Context(), other, unload())).err, access.Unavailable, access.ReasonInterrupted)
		r.approve(carol, id)
		again, _ := r.replica(r.store.Again())
		if got := r.passed(admit(r.t.Context(), again, unload())); got.Request != id {
			t.Errorf("after the restart the call is let through by %+v", got)
		}
	})
}

func TestAStoreThatIsAwayWhileCallsAreHeld(t *testing.T) {
	bubble(t, func(r *rig) {
		store := r.store.Again()
		here, _ := r.replica(store)
		call := admit(r.t.Context(), here, unload())
		id := r.pending().ID
		store.SetAway(true)
		time.Sleep(5 * time.Minute)
		r.approve(carol, id) // on the other replica, whose store is there
		time.Sleep(time.Minute)
		r.waits(call)
		_, err := here.Approve(r.t.Context(), dave, id, approval.Answer{})
		refused(t, err, access.Unavailable, access.ReasonStoreAway)
		a := unload()
		a.Model = "prod-other"
		refused(t, r.ended(admit(r.t.Context(), here, a)).err, access.Unavailable, access.ReasonStoreAway)
		store.SetAway(false)
		r.passed(call)
	})
}

func TestAGrantThatWasNotSeenForAMinuteIsNotUsed(t *testing.T) {
	bubble(t, func(r *rig) {
		call := r.admit(unload())
		r.approve(carol, r.pending().ID)
		r.passed(call)
		time.Sleep(5 * time.Minute)
		r.store.SetAway(true)
		time.Sleep(54 * time.Second)
		r.passed(r.admit(unload()))
		time.Sleep(6 * time.Second)
		refused(t, r.ended(r.admit(unload())).err, access.Unavailable, access.ReasonStoreAway)
		r.store.SetAway(false)
		synctest.Wait()
		r.passed(r.admit(unload()))
	})
}

func TestAUseThatCannotBeCountedIsNone(t *testing.T) {
	bubble(t, func(r *rig) {
		once := func(tt *access.Terms) { tt.Uses = 2 }
		call := r.admit(unload(once))
		r.approve(carol, r.pending().ID)
		r.passed(call)
		r.store.SetAway(true)
		refused(t, r.ended(r.admit(unload(once))).err, access.Unavailable, access.ReasonStoreAway)
		r.store.SetAway(false)
		r.passed(r.admit(unload(once)))
	})
}

// TestAFullDisk has the store refuse to write while it can be read.
func TestAFullDisk(t *testing.T) {
	bubble(t, func(r *rig) {
		held := r.admit(unload())
		id := r.pending().ID
		full := true
		r.store.Before(func(op string, _ []store.Change) error {
			if op == "apply" && full {
				return store.Away(errors.New("database or disk is full"))
			}
			return nil
		})
		_, err := r.engine.Approve(r.t.Context(), carol, id, approval.Answer{})
		refused(t, err, access.Unavailable, access.ReasonStoreAway)
		a := unload()
		a.Model = "prod-other"
		refused(t, r.ended(r.admit(a)).err, access.Unavailable, access.ReasonStoreAway)
		r.waits(held)
		full = false
		r.approve(carol, id)
		r.passed(held)
		if n := r.count(""); n != 1 {
			t.Errorf("%d requests are kept, want 1", n)
		}
	})
}

func TestAClockThatIsSetBack(t *testing.T) {
	t.Run("a grant lasts no longer", func(t *testing.T) {
		bubble(t, func(r *rig) {
			call := r.admit(unload())
			r.approve(carol, r.pending().ID)
			r.passed(call)
			time.Sleep(30 * time.Minute)
			r.back.Store(int64(30 * time.Minute)) // the wall shows the time of the approval
			r.passed(r.admit(unload()))
			time.Sleep(30 * time.Minute)
			r.waits(r.admit(unload()))
		})
	})
	t.Run("a grant of the future is not used", func(t *testing.T) {
		bubble(t, func(r *rig) {
			call := r.admit(unload())
			r.approve(carol, r.pending().ID)
			r.passed(call)
			r.back.Store(int64(2 * time.Minute))
			here, _ := r.replica(r.store.Again())
			r.waits(admit(r.t.Context(), here, unload()))
		})
	})
	t.Run("a held call waits no longer", func(t *testing.T) {
		bubble(t, func(r *rig) {
			call := r.admit(unload())
			time.Sleep(10 * time.Minute)
			r.back.Store(int64(10 * time.Minute))
			r.waits(call)
			time.Sleep(5 * time.Minute)
			refused(t, r.ended(call).err, access.NeedsApproval, access.ReasonApprovalExpired)
		})
	})
}

func TestAGrantEndsWithItsGuardsDefinition(t *testing.T) {
	rules := func(definition byte) *approval.Rules {
		return &approval.Rules{Guards: map[string][32]byte{"unload-prod": {definition}}}
	}
	for name, replace := range map[string][]*approval.Rules{
		"it changes":                    {rules(2)},
		"it is taken out":               {{}},
		"it changes and changes back":   {rules(2), rules(1)},
		"another guard comes (no, not)": {{Guards: map[string][32]byte{"unload-prod": {1}, "more": {3}}}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				call := r.admit(unload())
				r.approve(carol, r.pending().ID)
				id := r.passed(call).Grant
				for _, rules := range replace {
					r.engine.Replace(rules)
				}
				synctest.Wait()
				g, err := r.engine.GetGrant(r.t.Context(), id)
				want := approval.Void
				if len(replace[0].Guards) == 2 {
					want = approval.Live
				}
				if err != nil || g.State != want {
					t.Errorf("the grant is %s, %v; want %s", g.State, err, want)
				}
			})
		})
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	other := func(i int) *approval.Ask {
		a := unload()
		a.Digest[1], a.Digest[2] = byte(i), byte(i>>8)
		return a
	}
	t.Run("calls of one principal", func(t *testing.T) {
		bubble(t, func(r *rig) {
			for i := range 16 {
				r.waits(r.admit(other(i)))
			}
			refused(t, r.ended(r.admit(other(16))).err, access.Exhausted, access.ReasonApprovalPending, "16 calls of yours")
			a := unload()
			a.Principal = eve
			r.waits(r.admit(a))
		})
	})
	t.Run("calls in all", func(t *testing.T) {
		bubble(t, func(r *rig) {
			r.config.Held = 5
			here, _ := r.replica(r.store.Again())
			for i := range 5 {
				a := unload()
				a.Principal = person(fmt.Sprint("user", i))
				r.waits(admit(r.t.Context(), here, a))
			}
			refused(t, r.ended(admit(r.t.Context(), here, unload())).err, access.Exhausted, access.ReasonApprovalPending, "5 calls wait")
		})
	})
	t.Run("a thousand requests of one principal", func(t *testing.T) {
		bubble(t, func(r *rig) {
			made := 0
			for i := range 1000 {
				a := other(i)
				a.Needs[0].Terms.Mode = access.Ask
				got := r.ended(r.admit(a))
				if e, _ := access.AsError(got.err); e.Kind == access.NeedsApproval {
					made++
				} else {
					refused(t, got.err, access.Exhausted, access.ReasonApprovalPending, "100 requests of yours")
				}
			}
			if made != 100 {
				t.Errorf("%d requests were made, want 100", made)
			}
			time.Sleep(15*time.Minute + 6*time.Second)
			synctest.Wait()
			if n := r.count(approval.Expired); n != 100 {
				t.Errorf("%d have expired", n)
			}
			r.waits(r.admit(unload()))
		})
	})
}

func TestWhatIsOldIsDeleted(t *testing.T) {
	bubble(t, func(r *rig) {
		r.stop() // it would keep things for longer
		r.config.Keep = 24 * time.Hour
		var stop func()
		r.engine, stop = r.replica(r.store)
		defer stop()
		call := r.admit(unload())
		r.approve(carol, r.pending().ID)
		r.passed(call)
		time.Sleep(23 * time.Hour)
		if r.count("") != 1 {
			t.Fatal("the request is gone before its time")
		}
		time.Sleep(3 * time.Hour)
		for _, kind := range []store.Kind{approval.KindRequest, approval.KindGrant, approval.KindAsked} {
			if items, err := r.store.List(r.t.Context(), store.Query{Kind: kind}); err != nil || len(items) != 0 {
				t.Errorf("%d items of %s are left, %v", len(items), kind, err)
			}
		}
	})
}

func TestTakingBackIsNoWayToCallPeopleAgainAndAgain(t *testing.T) {
	bubble(t, func(r *rig) {
		r.config.PendingPerPrincipal = 5
		here, _ := r.replica(r.store.Again())
		for i := range 6 {
			a := unload(func(tt *access.Terms) { tt.Mode = access.Ask })
			a.Digest[1] = byte(i)
			err := r.ended(admit(r.t.Context(), here, a)).err
			if i == 5 {
				refused(t, err, access.Exhausted, access.ReasonApprovalPending)
				break
			}
			if _, err := here.Deny(r.t.Context(), alice, r.pending().ID, approval.Answer{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(15 * time.Minute)
		r.waits(admit(r.t.Context(), here, unload()))
	})
}

// TestAGrantThatIsUsedWhileItsGuardChangesEnds has the sweep meet a use that is
// counted at the same time.
func TestAGrantThatIsUsedWhileItsGuardChangesEnds(t *testing.T) {
	bubble(t, func(r *rig) {
		counted := func(tt *access.Terms) { tt.Uses = 100 }
		call := r.admit(unload(counted))
		r.approve(carol, r.pending().ID)
		id := r.passed(call).Grant
		raced := false
		r.store.Before(func(op string, changes []store.Change) error {
			if op == "apply" && !raced && changes[0].Kind == approval.KindGrant && changes[0].State == string(approval.Void) {
				raced = true
				item, err := r.store.Again().Get(r.t.Context(), approval.KindGrant, id)
				if err != nil {
					return err
				}
				return r.store.Again().Apply(r.t.Context(), store.Change{Item: item}) // as a use would
			}
			return nil
		})
		r.engine.Replace(&approval.Rules{})
		synctest.Wait()
		if g, err := r.engine.GetGrant(r.t.Context(), id); err != nil || g.State != approval.Void || !raced {
			t.Errorf("the grant is %s, %v", g.State, err)
		}
	})
}
