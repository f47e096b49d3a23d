package admin_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/services/admin"
)

func TestAWatchTellsWhatOneMaySee(t *testing.T) {
	open(t, func(d *desk) {
		old := d.wish(bob(), "old")
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(d.t.Context())
		approver, overA := d.watch(ctx, carol(), &pb.WatchApprovalsRequest{Approvable: true})
		stranger, overS := d.watch(ctx, dana(), &pb.WatchApprovalsRequest{})
		own, overO := d.watch(ctx, bob(), &pb.WatchApprovalsRequest{Mine: true})
		for who, s := range map[string]*stream{"carol": approver, "bob": own} {
			if m := s.next(); m.GetApproval().GetId() != old || !m.GetExisting() {
				t.Errorf("%s is told %v first, want the old request", who, m)
			}
		}
		id := d.wish(bob(), "new")
		if m := approver.next(); m.GetApproval().GetId() != id || m.GetExisting() || !m.GetApproval().GetMayApprove() {
			t.Errorf("carol is told %v, want the new request", m)
		}
		ask[*pb.ApproveResponse](d, carol(), approve, &pb.ApproveRequest{Id: id})
		if m := approver.next(); m.GetApproval().GetState() != pb.ApprovalState_APPROVAL_STATE_APPROVED {
			t.Errorf("carol is told %v, want how it ended", m)
		}
		if m := stranger.next(); m != nil {
			t.Errorf("dana is told of bob's request: %v", m)
		}
		cancel()
		for _, over := range []chan error{overA, overS, overO} {
			if err := <-over; err != context.Canceled {
				t.Errorf("ended with %v", err)
			}
		}
	})
}

func TestAWatchEndsWithItsToken(t *testing.T) {
	open(t, func(d *desk) {
		_, over := d.watch(d.t.Context(), carol(), &pb.WatchApprovalsRequest{})
		began := time.Now()
		err := <-over
		if reasonOf(err) != access.ReasonTokenExpired || time.Since(began) != time.Hour {
			t.Errorf("ended after %v with %v, want the token's hour", time.Since(began), err)
		}
	})
}

func TestAWatchEndsWithTheGateway(t *testing.T) {
	open(t, func(d *desk) {
		done := make(chan struct{})
		d.options.Done = done
		d.use(d.options)
		_, over := d.watch(d.t.Context(), carol(), &pb.WatchApprovalsRequest{})
		close(done)
		if e, _ := access.AsError(<-over); e == nil || e.Kind != access.Unavailable {
			t.Errorf("ended with %v, want UNAVAILABLE", e)
		}
	})
}

// TestARoleTakenAwayIsToldNoMore: what a watch shows is decided when it is shown.
func TestARoleTakenAwayIsToldNoMore(t *testing.T) {
	open(t, func(d *desk) {
		ctx, cancel := context.WithCancel(d.t.Context())
		s, over := d.watch(ctx, audra(), &pb.WatchApprovalsRequest{})
		d.wish(bob(), "a")
		if s.next() == nil {
			t.Error("an auditor is told nothing")
		}
		d.options.Policy.Replace(nil)
		d.wish(bob(), "b")
		if m := s.next(); m != nil {
			t.Errorf("who is no auditor any more is told %v", m)
		}
		cancel()
		<-over
	})
}

func TestWatchesAreBounded(t *testing.T) {
	open(t, func(d *desk) {
		ctx, cancel := context.WithCancel(d.t.Context())
		var overs []chan error
		for i := range admin.MaxWatches {
			_, over := d.watch(ctx, somebody(fmt.Sprint("p", i/admin.MaxWatchesPerPrincipal), access.User), &pb.WatchApprovalsRequest{})
			overs = append(overs, over)
		}
		_, over := d.watch(ctx, carol(), &pb.WatchApprovalsRequest{})
		if e, _ := access.AsError(<-over); e == nil || e.Kind != access.Exhausted || e.RetryAfter == 0 {
			t.Errorf("one more than %d: %v", admin.MaxWatches, e)
		}
		cancel()
		for _, over := range overs {
			<-over
		}
		again, stop := context.WithCancel(d.t.Context())
		for range admin.MaxWatchesPerPrincipal {
			_, over := d.watch(again, carol(), &pb.WatchApprovalsRequest{})
			overs = append(overs[:0], over)
		}
		_, over = d.watch(again, carol(), &pb.WatchApprovalsRequest{})
		if e, _ := access.AsError(<-over); e == nil || e.Kind != access.Exhausted {
			t.Errorf("one more than %d of one person: %v", admin.MaxWatchesPerPrincipal, e)
		}
		stop()
		synctest.Wait()
	})
}
