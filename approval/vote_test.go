package approval_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
)

func TestWhoMayNotApprove(t *testing.T) {
	robot := person("robot", "approvers")
	robot.Kind = access.Service
	expired := person("carol", "approvers")
	namesake := person("alice", "approvers")
	namesake.Issuer = "https://other"
	for name, c := range map[string]struct {
		who    *access.Principal
		kind   access.ErrorKind
		reason string
		text   string
	}{
		"nobody":                        {nil, access.Unauthenticated, access.ReasonTokenMissing, ""},
		"the requester":                 {alice, access.PermissionDenied, access.ReasonNotApprover, "yours"},
		"a service":                     {robot, access.PermissionDenied, access.ReasonNotApprover, "only people"},
		"who is in another group":       {eve, access.PermissionDenied, access.ReasonNotApprover, "group approvers"},
		"whose token has expired":       {expired, access.Unauthenticated, access.ReasonTokenExpired, "expired"},
		"another issuer's of that name": {namesake, 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				expired.Expires = time.Now()
				call := r.admit(unload())
				id := r.pending().ID
				_, err := r.engine.Approve(r.t.Context(), c.who, id, approval.Answer{})
				if c.reason == "" {
					if err != nil {
						t.Fatal(err)
					}
					r.passed(call)
					return
				}
				refused(t, err, c.kind, c.reason, c.text)
				r.waits(call)
				if c.who != alice {
					_, err := r.engine.Deny(r.t.Context(), c.who, id, approval.Answer{})
					refused(t, err, c.kind, c.reason, c.text)
					r.waits(call)
				}
			})
		})
	}
}

func TestAsManyPeopleAsTheTermsSay(t *testing.T) {
	bubble(t, func(r *rig) {
		two := func(tt *access.Terms) { tt.Count, tt.By = 2, []string{"approvers", "leads"} }
		call := r.admit(unload(two))
		id := r.pending().ID
		r.approve(carol, id) // is in both groups, and counts once
		_, err := r.engine.Approve(r.t.Context(), carol, id, approval.Answer{})
		refused(t, err, access.NeedsApproval, access.ReasonConflict, "already", "1 of 2")
		again := person("carol", "leads") // with another token
		_, err = r.engine.Approve(r.t.Context(), again, id, approval.Answer{})
		refused(t, err, access.NeedsApproval, access.ReasonConflict, "already")
		r.waits(call)
		r.approve(dave, id)
		if got := r.passed(call); len(got.Approvers) != 2 {
			t.Errorf("approved by %v", got.Approvers)
		}
	})
}

func TestADenialWinsAfterSomeApprovals(t *testing.T) {
	bubble(t, func(r *rig) {
		call := r.admit(unload(func(tt *access.Terms) { tt.Count = 2 }))
		id := r.pending().ID
		r.approve(carol, id)
		if _, err := r.engine.Deny(r.t.Context(), dave, id, approval.Answer{Reason: "no"}); err != nil {
			t.Fatal(err)
		}
		refused(t, r.ended(call).err, access.NeedsApproval, access.ReasonApprovalDenied, "dave")
		_, err := r.engine.Approve(r.t.Context(), carol, id, approval.Answer{})
		refused(t, err, access.NeedsApproval, access.ReasonApprovalDenied, "dave")
	})
}

func TestVotesThatComeTooLate(t *testing.T) {
	for name, c := range map[string]struct {
		before func(r *rig, id string)
		reason string
		text   string
	}{
		"after it was approved": {func(r *rig, id string) { r.approve(carol, id) }, access.ReasonConflict, "sluice grants revoke"},
		"after it was denied": {func(r *rig, id string) {
			_, _ = r.engine.Deny(r.t.Context(), carol, id, approval.Answer{})
		}, access.ReasonApprovalDenied, "carol"},
		"after it was taken back": {func(r *rig, id string) {
			_, _ = r.engine.Deny(r.t.Context(), alice, id, approval.Answer{})
		}, access.ReasonApprovalDenied, "taken back"},
		"after it expired":                         {func(*rig, string) { time.Sleep(15 * time.Minute) }, access.ReasonApprovalExpired, "expired"},
		"by a clock that stands before its making": {func(r *rig, _ string) { r.back.Store(int64(time.Hour)) }, access.ReasonApprovalExpired, ""},
		"after its guard has changed": {func(r *rig, _ string) {
			r.engine.Replace(&approval.Rules{Guards: map[string][32]byte{"unload-prod": {8}}})
		}, access.ReasonApprovalVoid, "changed"},
		"after its guard was taken out": {func(r *rig, _ string) { r.engine.Replace(&approval.Rules{}) }, access.ReasonApprovalVoid, "changed"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				ask := unload(func(tt *access.Terms) { tt.Mode = access.Ask })
				r.ended(r.admit(ask))
				id := r.pending().ID
				c.before(r, id)
				for word, say := range map[string]func() (*approval.Request, error){
					"approve": func() (*approval.Request, error) {
						return r.engine.Approve(r.t.Context(), dave, id, approval.Answer{})
					},
					"deny": func() (*approval.Request, error) {
						return r.engine.Deny(r.t.Context(), dave, id, approval.Answer{})
					},
				} {
					now, err := say()
					refused(t, err, access.NeedsApproval, c.reason, c.text, id)
					if now == nil || now.State == approval.Pending && r.back.Load() == 0 {
						t.Errorf("%s: the request is shown as %+v", word, now)
					}
				}
			})
		})
	}
}

func TestAnApprovalIsForWhatWasLookedAt(t *testing.T) {
	bubble(t, func(r *rig) {
		r.admit(unload())
		request := r.pending()
		_, err := r.engine.Approve(r.t.Context(), carol, request.ID, approval.Answer{Digest: strings.Repeat("0", 64)})
		refused(t, err, access.NeedsApproval, access.ReasonConflict, "look at it again")
		if _, err := r.engine.Approve(r.t.Context(), carol, request.ID, approval.Answer{Digest: strings.ToUpper(request.Digest)}); err != nil {
			t.Error(err)
		}
	})
}

func TestNobodyApprovesForLongerThanWasAsked(t *testing.T) {
	bubble(t, func(r *rig) {
		r.ended(r.admit(unload(func(tt *access.Terms) { tt.Mode, tt.Count = access.Ask, 2 })))
		id := r.pending().ID
		for _, d := range []time.Duration{time.Hour + 1, -time.Second} {
			_, err := r.engine.Approve(r.t.Context(), carol, id, approval.Answer{For: d})
			refused(t, err, access.NeedsApproval, access.ReasonConflict, "1h0m0s")
		}
		if _, err := r.engine.Approve(r.t.Context(), carol, id, approval.Answer{For: 10 * time.Minute}); err != nil {
			t.Fatal(err)
		}
		r.approve(dave, id) // as long as asked: the shorter one counts
		g, err := r.engine.GetGrant(r.t.Context(), r.request(id).Grant)
		if err != nil || g.Until.Sub(g.Granted) != 10*time.Minute {
			t.Errorf("the grant is %+v, %v", g, err)
		}
	})
}

// TestOfTwoReplicasOneWins has two replicas approve and deny at once, many times.
func TestOfTwoReplicasOneWins(t *testing.T) {
	won := map[approval.State]int{}
	for range 40 {
		bubble(t, func(r *rig) {
			other, _ := r.replica(r.store.Again())
			call := r.admit(unload())
			id := r.pending().ID
			type said struct {
				r   *approval.Request
				err error
			}
			yes, no := make(chan said, 1), make(chan said, 1)
			go func() {
				got, err := r.engine.Approve(r.t.Context(), carol, id, approval.Answer{})
				yes <- said{got, err}
			}()
			go func() {
				got, err := other.Deny(r.t.Context(), dave, id, approval.Answer{})
				no <- said{got, err}
			}()
			synctest.Wait()
			y, n := <-yes, <-no
			if (y.err == nil) == (n.err == nil) {
				t.Fatalf("approving: %v; denying: %v", y.err, n.err)
			}
			if y.r.State != n.r.State || y.r.State != r.request(id).State {
				t.Errorf("one is told %s, the other %s", y.r.State, n.r.State)
			}
			got := r.ended(call)
			if (got.err == nil) != (y.err == nil) {
				t.Errorf("the call ended with %v", got.err)
			}
			won[y.r.State]++
		})
	}
	if won[approval.Approved]+won[approval.Denied] != 40 {
		t.Errorf("the ends were %v", won)
	}
}
