package approval_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
)

// two is a call that takes two people.
func two() *approval.Ask { return unload(func(t *access.Terms) { t.Count = 2 }) }

// TestAnApprovalCountsWhileItsGiverMayApprove: who was put out, or is denied the verb
// by now, has approved nothing any more, whenever it is looked at.
func TestAnApprovalCountsWhileItsGiverMayApprove(t *testing.T) {
	t.Run("he may not at all", func(t *testing.T) {
		bubble(t, func(r *rig) {
			call := r.admit(unload())
			r.out.Store("carol", true)
			_, err := r.engine.Approve(t.Context(), carol, r.pending().ID, approval.Answer{})
			refused(t, err, access.PermissionDenied, access.ReasonNotApprover)
			r.waits(call)
		})
	})
	t.Run("the first of two, before the second approves", func(t *testing.T) {
		bubble(t, func(r *rig) {
			call := r.admit(two())
			id := r.pending().ID
			r.approve(carol, id)
			r.out.Store("carol", true)
			if got := r.approve(dave, id); got.State != approval.Pending || len(got.Approvals) != 1 {
				t.Errorf("the request is %+v", got)
			}
			r.waits(call)
			r.approve(person("frank", "approvers"), id)
			if got := r.passed(call); len(got.Approvers) != 2 || slices.Contains(got.Approvers, "https://issuer#carol") {
				t.Errorf("approved by %v", got.Approvers)
			}
		})
	})
	t.Run("who was let in again may say it again", func(t *testing.T) {
		bubble(t, func(r *rig) {
			call := r.admit(two())
			id := r.pending().ID
			r.approve(carol, id)
			r.out.Store("carol", true)
			r.approve(dave, id)
			r.out.Delete("carol")
			r.approve(carol, id)
			r.passed(call)
		})
	})
	t.Run("between the last approval and the release", func(t *testing.T) {
		bubble(t, func(r *rig) {
			a := two()
			a.Recheck = func() ([]*access.Need, error) { r.out.Store("carol", true); return a.Needs, nil }
			call := r.admit(a)
			first := r.pending().ID
			r.approve(carol, first)
			r.approve(dave, first)
			r.waits(call)
			second := r.pending().ID // people are asked again
			if second == first {
				t.Error("the request is the same")
			}
			r.approve(dave, second)
			r.approve(person("frank", "approvers"), second)
			r.passed(call)
		})
	})
	t.Run("while the grant lives", func(t *testing.T) {
		bubble(t, func(r *rig) {
			call := r.admit(unload())
			r.approve(carol, r.pending().ID)
			r.passed(call)
			r.out.Store("carol", true)
			again := r.admit(unload())
			r.waits(again)
			r.out.Delete("carol") // for a while only: the grant is good again
			r.passed(r.admit(unload()))
		})
	})
	t.Run("access that was asked for ahead", func(t *testing.T) {
		bubble(t, func(r *rig) {
			w := approval.Want{Verb: access.Unload, Model: "m", For: time.Hour}
			asked, err := r.engine.RequestAccess(t.Context(), eve, w)
			if err != nil {
				t.Fatal(err)
			}
			r.approve(carol, asked.ID)
			if r.engine.Allows(eve, access.Unload, "m") == nil {
				t.Fatal("the grant lets nobody through")
			}
			r.out.Store("carol", true)
			if r.engine.Allows(eve, access.Unload, "m") != nil || r.engine.Sees(eve, "m") {
				t.Error("the grant outlives its approver's right")
			}
		})
	})
}
