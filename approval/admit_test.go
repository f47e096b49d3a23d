package approval_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/store"
)

func TestACallWaitsUntilSomebodyElseApproves(t *testing.T) {
	bubble(t, func(r *rig) {
		first := r.admit(unload())
		r.waits(first)
		request := r.pending()
		if r.engine.Held(request.ID) != 1 {
			t.Errorf("%d calls are held, want 1", r.engine.Held(request.ID))
		}
		_, err := r.engine.Approve(r.t.Context(), alice, request.ID, approval.Answer{})
		refused(t, err, access.PermissionDenied, access.ReasonNotApprover, "yours")
		r.waits(first)
		time.Sleep(3 * time.Second)
		r.approve(carol, request.ID)
		got := r.passed(first)
		if got.Request != request.ID || got.Grant == "" || len(got.Approvers) != 1 || got.Approvers[0] != carol.ID() || got.Waited != 3*time.Second {
			t.Errorf("the call is noted with %+v", got)
		}

		time.Sleep(59 * time.Minute)
		if again := r.passed(r.admit(unload())); again.Grant != got.Grant || again.Waited != 0 {
			t.Errorf("a repeat within the grant is noted with %+v", again)
		}
		time.Sleep(time.Minute)
		late := r.admit(unload())
		r.waits(late)
		if r.pending().ID == request.ID {
			t.Error("after the grant the old request is asked again")
		}
	})
}

func TestAGrantIsForWhatWasAskedAlone(t *testing.T) {
	with := func(f func(a *approval.Ask)) *approval.Ask {
		a := unload()
		f(a)
		return a
	}
	model := func(tt *access.Terms) { tt.Scope = access.ScopeModel }
	mode := func(values ...string) *approval.Ask {
		return with(func(a *approval.Ask) { a.Needs[0].Metadata = map[string][]string{"x-mode": values} })
	}
	for name, c := range map[string]struct {
		first, second *approval.Ask
		passes        bool
	}{
		"the same":              {unload(), unload(), true},
		"another reason":        {unload(), with(func(a *approval.Ask) { a.Reason = "x" }), true},
		"other content":         {unload(), with(func(a *approval.Ask) { a.Digest[0]++ }), false},
		"another model":         {unload(), with(func(a *approval.Ask) { a.Model = "prod-other" }), false},
		"another version":       {unload(), with(func(a *approval.Ask) { a.Version = "2" }), false},
		"another backend":       {unload(), with(func(a *approval.Ask) { a.Backend = "cpu" }), false},
		"another verb":          {unload(), with(func(a *approval.Ask) { a.Verb = access.Load }), false},
		"another principal":     {unload(), with(func(a *approval.Ask) { a.Principal = eve }), false},
		"the guard says other":  {unload(), with(func(a *approval.Ask) { a.Needs[0].Definition[0]++ }), false},
		"another guard":         {unload(), with(func(a *approval.Ask) { a.Needs[0].Guard = "second" }), false},
		"the same metadata":     {mode("a", "b"), mode("a", "b"), true},
		"other metadata":        {mode("a", "b"), mode("a", "c"), false},
		"metadata in one":       {mode("a", "b"), mode("ab"), false},
		"no metadata any more":  {mode("a"), mode(), false},
		"metadata named by now": {unload(), mode(), false},
		"scope model, other metadata": {unload(model), with(func(a *approval.Ask) {
			a.Needs[0].Metadata, a.Needs[0].Terms.Scope = map[string][]string{"x-mode": {"b"}}, access.ScopeModel
		}), true},
		"scope model, other text": {unload(model), with(func(a *approval.Ask) { a.Digest[0]++; a.Needs[0].Terms.Scope = access.ScopeModel }), true},
		"scope model, other model": {unload(model), with(func(a *approval.Ask) {
			a.Model = "prod-other"
			a.Needs[0].Terms.Scope = access.ScopeModel
		}), false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				first := r.admit(c.first)
				r.approve(carol, r.pending().ID)
				r.passed(first)
				second := r.admit(c.second)
				if c.passes {
					r.passed(second)
				} else {
					r.waits(second)
				}
			})
		})
	}
}

func TestTheSameCallJoinsItsOwnRequest(t *testing.T) {
	bubble(t, func(r *rig) {
		other, _ := r.replica(r.store.Again())
		calls := []<-chan call{r.admit(unload()), r.admit(unload()), admit(r.t.Context(), other, unload())}
		ask := unload(func(tt *access.Terms) { tt.Mode = access.Ask })
		request := r.pending()
		refused(t, r.ended(r.admit(ask)).err, access.NeedsApproval, access.ReasonNeedsApproval, request.ID, "sluice approvals show "+request.ID)
		r.approve(carol, request.ID)
		for _, c := range calls {
			if got := r.passed(c); got.Request != request.ID {
				t.Errorf("a call was let through by %s", got.Request)
			}
		}
		r.passed(r.admit(ask))
	})
}

func TestAsManyAtOnceMakeOneRequest(t *testing.T) {
	bubble(t, func(r *rig) {
		other, _ := r.replica(r.store.Again())
		var calls []<-chan call
		for range 8 {
			done := make(chan call, 2)
			for _, e := range []*approval.Engine{r.engine, other} {
				go func() {
					got, err := e.Admit(r.t.Context(), unload())
					done <- call{approval: got, err: err}
				}()
			}
			calls = append(calls, done, done)
		}
		synctest.Wait()
		r.approve(carol, r.pending().ID)
		for _, c := range calls {
			r.passed(c)
		}
	})
}

func TestOnlySoManyUsesAreGood(t *testing.T) {
	bubble(t, func(r *rig) {
		twice := func(tt *access.Terms) { tt.Uses = 2 }
		other, _ := r.replica(r.store.Again())
		calls := []<-chan call{r.admit(unload(twice)), admit(r.t.Context(), other, unload(twice)), r.admit(unload(twice)), admit(r.t.Context(), other, unload(twice))}
		first := r.pending()
		r.approve(carol, first.ID)
		synctest.Wait()
		passed := 0
		for _, c := range calls {
			if len(c) == 1 {
				passed++
			}
		}
		second := r.pending()
		if passed != 2 || second.ID == first.ID {
			t.Fatalf("%d calls passed by two uses, the others wait for %s after %s", passed, second.ID, first.ID)
		}
		r.approve(dave, second.ID)
		for _, c := range calls {
			r.passed(c)
		}
		g, err := r.engine.GetGrant(r.t.Context(), r.request(first.ID).Grant)
		if err != nil || g.State != approval.Used || g.Used != 2 {
			t.Errorf("the grant is %+v, %v", g, err)
		}
	})
}

// contended is a store in which others are faster, twice, when a grant's use is
// written, and which tells of no change before the next poll.
type contended struct {
	store.Store
	lost   int
	faster func()
}

func (s *contended) Apply(ctx context.Context, changes ...store.Change) error {
	if len(changes) == 1 && changes[0].Item.Kind == approval.KindGrant && s.lost < 2 {
		if s.lost++; s.lost == 2 {
			return store.ErrConflict // of the other grant that the call needs, say
		}
		s.faster()
	}
	return s.Store.Apply(ctx, changes...)
}

func (s *contended) Watch(ctx context.Context, kinds ...store.Kind) <-chan store.Hint {
	hints := make(chan store.Hint)
	go func() {
		defer close(hints)
		for {
			for _, kind := range kinds {
				select {
				case hints <- store.Hint{Kind: kind}:
				case <-ctx.Done():
					return
				}
			}
			select {
			case <-time.After(store.Poll):
			case <-ctx.Done():
				return
			}
		}
	}()
	return hints
}

// TestAUseThatWasNotWrittenIsNone: the last use of a grant is still there where
// writing it down has failed.
func TestAUseThatWasNotWrittenIsNone(t *testing.T) {
	bubble(t, func(r *rig) {
		twice := unload(func(tt *access.Terms) { tt.Uses = 2 })
		busy := &contended{Store: r.store.Again(), faster: func() {
			if _, err := r.engine.Admit(r.t.Context(), twice); err != nil {
				t.Errorf("the call elsewhere: %v", err)
			}
		}}
		e, _ := r.replica(busy)
		held := admit(r.t.Context(), e, twice)
		r.approve(carol, r.pending().ID)
		time.Sleep(store.Poll)
		r.passed(held)
		if busy.lost != 2 {
			t.Errorf("others were faster %d times", busy.lost)
		}
	})
}

func (r *rig) request(id string) *approval.Request {
	r.t.Helper()
	got, err := r.engine.Get(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func TestACallThatNeedsTwoGuardsWaitsForBoth(t *testing.T) {
	two := func() *approval.Ask {
		a := unload()
		a.Needs = append(a.Needs, &access.Need{Guard: "second", Definition: [32]byte{2}, Terms: terms(func(tt *access.Terms) { tt.By = []string{"leads"} })})
		return a
	}
	for name, deny := range map[string]bool{"both approve": false, "the second denies": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				c := r.admit(two())
				all, err := r.engine.List(r.t.Context(), approval.Filter{State: approval.Pending})
				if err != nil || len(all) != 2 {
					t.Fatalf("%d requests, %v", len(all), err)
				}
				if all[0].Guard == "second" { // made in the same millisecond
					all[0], all[1] = all[1], all[0]
				}
				if deny {
					if _, err := r.engine.Deny(r.t.Context(), carol, all[1].ID, approval.Answer{Reason: "not today"}); err != nil {
						t.Fatal(err)
					}
					refused(t, r.ended(c).err, access.NeedsApproval, access.ReasonApprovalDenied, all[1].ID, `"carol"`, "not today")
					return
				}
				r.approve(dave, all[0].ID)
				r.waits(c)
				r.approve(carol, all[1].ID)
				if got := r.passed(c); got.Request != all[0].ID+", "+all[1].ID || len(got.Approvers) != 2 {
					t.Errorf("noted with %+v", got)
				}
			})
		})
	}
}

func TestWhatEndsTheWait(t *testing.T) {
	for name, c := range map[string]struct {
		timeout time.Duration
		act     func(r *rig, cancel func())
		check   func(t *testing.T, got call, id string)
	}{
		"the caller gives up": {0, func(_ *rig, cancel func()) { cancel() }, func(t *testing.T, got call, id string) {
			if !errors.Is(got.err, context.Canceled) || got.approval.Request != id {
				t.Errorf("got %+v, %v", got.approval, got.err)
			}
		}},
		"its deadline": {30 * time.Second, func(*rig, func()) { time.Sleep(30 * time.Second) }, func(t *testing.T, got call, id string) {
			refused(t, got.err, access.NeedsApproval, access.ReasonNeedsApproval, id, "repeat the same call")
			if got.after != 29750*time.Millisecond {
				t.Errorf("told after %v", got.after)
			}
		}},
		"a deadline that is no time to wait": {10 * time.Millisecond, func(*rig, func()) { time.Sleep(10 * time.Millisecond) }, func(t *testing.T, got call, id string) {
			refused(t, got.err, access.NeedsApproval, access.ReasonNeedsApproval, id)
			if got.after != 8*time.Millisecond {
				t.Errorf("told after %v", got.after)
			}
		}},
		"the request's end": {0, func(*rig, func()) { time.Sleep(15 * time.Minute) }, func(t *testing.T, got call, id string) {
			refused(t, got.err, access.NeedsApproval, access.ReasonApprovalExpired, id, "15m0s")
		}},
		"a denial": {0, func(r *rig, _ func()) {
			if _, err := r.engine.Deny(r.t.Context(), carol, r.pending().ID, approval.Answer{Reason: "no"}); err != nil {
				r.t.Error(err)
			}
		}, func(t *testing.T, got call, id string) {
			refused(t, got.err, access.NeedsApproval, access.ReasonApprovalDenied, id, `"carol"`, `"no"`)
			if len(got.approval.Approvers) != 1 {
				t.Errorf("noted with %+v", got.approval)
			}
		}},
		"its taking back": {0, func(r *rig, _ func()) {
			if _, err := r.engine.Deny(r.t.Context(), alice, r.pending().ID, approval.Answer{}); err != nil {
				r.t.Error(err)
			}
		}, func(t *testing.T, got call, id string) {
			refused(t, got.err, access.NeedsApproval, access.ReasonApprovalDenied, id, "taken back")
		}},
		"its guard says something else": {0, func(r *rig, _ func()) {
			r.engine.Replace(&approval.Rules{Guards: map[string][32]byte{"unload-prod": {9}}})
		}, func(t *testing.T, got call, id string) {
			refused(t, got.err, access.NeedsApproval, access.ReasonApprovalVoid, id)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				ctx, cancel := context.WithCancel(r.t.Context())
				if c.timeout > 0 {
					ctx, cancel = context.WithTimeout(r.t.Context(), c.timeout)
				}
				defer cancel()
				held := admit(ctx, r.engine, unload())
				id := r.pending().ID
				r.waits(held)
				c.act(r, cancel)
				c.check(t, r.ended(held), id)
			})
		})
	}
}

func TestWhoIsDeniedDoesNotGetAnotherAnswerByAskingAgain(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.admit(unload())
		id := r.pending().ID
		if _, err := r.engine.Deny(r.t.Context(), carol, id, approval.Answer{}); err != nil {
			t.Fatal(err)
		}
		r.ended(c)
		time.Sleep(14 * time.Minute)
		refused(t, r.ended(r.admit(unload())).err, access.NeedsApproval, access.ReasonApprovalDenied, id)
		time.Sleep(time.Minute)
		c = r.admit(unload())
		r.waits(c)
		if r.pending().ID == id {
			t.Error("the denied request is open again")
		}
	})
}

func TestACallIsDecidedAgainWhenItIsReleased(t *testing.T) {
	expiring := func() *approval.Ask {
		a := unload()
		who := person("alice", "ml-users")
		who.Expires = time.Now().Add(time.Minute)
		a.Principal = who
		return a
	}
	t.Run("its token has run out", func(t *testing.T) {
		bubble(t, func(r *rig) {
			c := r.admit(expiring())
			time.Sleep(time.Minute)
			r.waits(c)
			id := r.pending().ID
			r.approve(carol, id)
			refused(t, r.ended(c).err, access.NeedsApproval, access.ReasonTokenExpired, id)
			r.passed(r.admit(expiring())) // with a new token
		})
	})
	t.Run("policy says no by now", func(t *testing.T) {
		bubble(t, func(r *rig) {
			a := unload()
			a.Recheck = func() ([]*access.Need, error) {
				return nil, &access.Error{Kind: access.PermissionDenied, Reason: access.ReasonNoRole}
			}
			c := r.admit(a)
			r.approve(carol, r.pending().ID)
			refused(t, r.ended(c).err, access.PermissionDenied, access.ReasonNoRole)
		})
	})
	t.Run("another guard asks by now", func(t *testing.T) {
		bubble(t, func(r *rig) {
			a := unload()
			a.Recheck = func() ([]*access.Need, error) {
				return []*access.Need{a.Needs[0], {Guard: "second", Definition: [32]byte{2}, Terms: terms()}}, nil
			}
			c := r.admit(a)
			r.approve(carol, r.pending().ID)
			r.waits(c)
			if again := r.pending(); again.Guard != "second" {
				t.Errorf("it waits for %+v", again)
			}
			r.approve(dave, r.pending().ID)
			r.passed(c)
		})
	})
}

func TestARequestHasWhatItsApproversWantToRead(t *testing.T) {
	for name, c := range map[string]struct {
		change         func(*access.Terms)
		reason, ticket string
		refused        string
	}{
		"no reason":               {func(tt *access.Terms) { tt.Reason = true }, " \t", "", "sluice-reason"},
		"a reason":                {func(tt *access.Terms) { tt.Reason = true }, "rollback", "", ""},
		"no ticket":               {func(tt *access.Terms) { tt.Ticket = "OPS-[0-9]+" }, "", "", "sluice-ticket"},
		"more than a ticket":      {func(tt *access.Terms) { tt.Ticket = "OPS-[0-9]+" }, "", "OPS-1 or so", "sluice-ticket"},
		"one of two alternatives": {func(tt *access.Terms) { tt.Ticket = "A|OPS" }, "", "OPSX", "sluice-ticket"},
		"a ticket":                {func(tt *access.Terms) { tt.Ticket = "OPS-[0-9]+" }, "", "OPS-1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				a := unload(c.change)
				a.Reason, a.Ticket = c.reason, c.ticket
				call := r.admit(a)
				if c.refused == "" {
					r.waits(call)
					if got := r.pending(); got.Reason != c.reason || got.Ticket != c.ticket {
						t.Errorf("asked with %+v", got)
					}
					return
				}
				refused(t, r.ended(call).err, access.NeedsApproval, access.ReasonApprovalTerms, c.refused)
				if r.count(approval.Pending) != 0 {
					t.Error("a request was made")
				}
			})
		})
	}
}
