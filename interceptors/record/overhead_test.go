package record_test

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
)

// TestARequestOfAStreamHasItsOverhead: what Sluice took before the backend and with
// each answer, and neither the backend's time nor an approver's.
func TestARequestOfAStreamHasItsOverhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		const own, theirs = 3 * time.Millisecond, time.Second
		err := d.stream(func(ss grpc.ServerStream, ask func(string) error) {
			goOn := func(id string) {
				if err := ask(id); err != nil {
					t.Error(err)
				}
				time.Sleep(own)
				d.call.OnRoute("gpu", "triton-0:8001")
			}
			send := func(id string, final ...bool) {
				time.Sleep(own)
				m := answer(t, id, final...)
				defer m.Free()
				if err := ss.SendMsg(m); err != nil {
					t.Error(err)
				}
			}
			goOn("a")
			for _, last := range []bool{false, false, true} { // the second is like the first
				time.Sleep(theirs)
				d.call.OnAnswer()
				send("a", last)
			}
			goOn("b")
			time.Sleep(theirs)
			d.call.OnAnswer()
			send("b", false) // in two parts: masking may send what it has held back before
			send("b", true)
			goOn("c")
			time.Sleep(theirs)
			d.call.OnMessage(access.Message{ID: "c", Verb: access.Infer, Model: "m", Refused: &access.Error{Kind: access.PermissionDenied, Reason: access.ReasonBlocked}})
		})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]time.Duration{"a": 4 * own, "b": 3 * own, "c": own, "": 0}
		all := d.close()
		for _, r := range all {
			if r.Overhead != want[r.Request] {
				t.Errorf("request %q: %v, want %v", r.Request, r.Overhead, want[r.Request])
			}
		}
		if len(all) != len(want) {
			t.Errorf("%d records", len(all))
		}
	})
}

// TestWhatGoesNowhereIsAllOverheadButTheWaiting: a request that was refused here, at
// once or after people had been asked.
func TestWhatGoesNowhereIsAllOverheadButTheWaiting(t *testing.T) {
	for name, waited := range map[string]time.Duration{"refused": 0, "not approved": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				err := d.stream(func(_ grpc.ServerStream, _ func(string) error) {
					m := access.Message{ID: "a", Verb: access.Infer, Model: "m", Decision: access.Decision{Allowed: true}}
					d.call.OnMessage(m)
					time.Sleep(waited + time.Millisecond)
					m.Decision, m.Refused = access.Decision{}, &access.Error{Kind: access.NeedsApproval, Reason: access.ReasonApprovalDenied}
					if waited > 0 {
						m.Approval = &access.Approval{Waited: waited}
					}
					d.call.OnMessage(m)
				})
				if err != nil {
					t.Fatal(err)
				}
				if r := d.close()[0]; r.Request != "a" || r.Overhead != time.Millisecond {
					t.Errorf("it took %v, %v of it here", r.Duration, r.Overhead)
				}
			})
		})
	}
}
