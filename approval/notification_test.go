package approval_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/store"
)

// notifications are the outbox, oldest first.
func (r *rig) notifications() (all []access.Notification) {
	r.t.Helper()
	items, err := r.store.List(r.t.Context(), store.Query{Kind: approval.KindNotification, State: approval.Due})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, item := range items {
		var n access.Notification
		if err := json.Unmarshal(item.Body, &n); err != nil {
			r.t.Fatal(err)
		}
		all = append(all, n)
	}
	slices.SortStableFunc(all, func(a, b access.Notification) int { return a.At.Compare(b.At) })
	return all
}

func TestPeopleAreToldOfEachChangeOnce(t *testing.T) {
	ask := func(r *rig) string {
		a := unload(func(tt *access.Terms) { tt.Mode, tt.Count = access.Ask, 2 })
		a.Reason, a.Ticket = "rollback", "OPS-1"
		r.ended(r.admit(a))
		r.ended(r.admit(a))
		return r.pending().ID
	}
	for name, c := range map[string]struct {
		act    func(r *rig, id string)
		events []access.Event
		actor  string
	}{
		"asked":    {func(*rig, string) {}, []access.Event{"requested"}, ""},
		"approved": {func(r *rig, id string) { r.approve(carol, id); time.Sleep(time.Second); r.approve(dave, id) }, []access.Event{"requested", "approved"}, "dave"},
		"denied":   {func(r *rig, id string) { _, _ = r.engine.Deny(r.t.Context(), carol, id, approval.Answer{Reason: "no"}) }, []access.Event{"requested", "denied"}, "carol"},
		"expired":  {func(r *rig, _ string) { time.Sleep(16 * time.Minute) }, []access.Event{"requested", "expired"}, ""},
		"revoked": {func(r *rig, id string) {
			r.approve(carol, id)
			g := r.approve(dave, id).Grant
			time.Sleep(time.Second)
			_, _ = r.engine.Revoke(r.t.Context(), alice, g, "done", false)
		}, []access.Event{"requested", "approved", "revoked"}, "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				r.replica(r.store.Again()) // which sees the same, and tells nobody again
				id := ask(r)
				time.Sleep(time.Second)
				c.act(r, id)
				synctest.Wait()
				var events []access.Event
				all := r.notifications()
				for _, n := range all {
					events = append(events, n.Event)
					if n.Request != id || n.Requester != alice.ID() || n.RequesterName != "alice" || n.Verb != "unload" || n.Model != "prod-simple" || n.Ticket != "OPS-1" || n.Guard != "unload-prod" || n.By[0] != "approvers" || n.Expires.IsZero() {
						t.Errorf("%s tells %+v", n.Event, n)
					}
				}
				if !slices.Equal(events, c.events) || all[len(all)-1].ActorName != c.actor {
					t.Errorf("told %v by %q", events, all[len(all)-1].ActorName)
				}
				if all[0].Reason != "rollback" {
					t.Errorf("the reason is %q", all[0].Reason)
				}
			})
		})
	}
}

func TestWhatPeopleSayIsKeptPrintable(t *testing.T) {
	bubble(t, func(r *rig) {
		a := unload()
		a.Reason = "a\r\nb\x00\u202egnp.exe " + strings.Repeat("é", 2000)
		a.Version = strings.Repeat("9", 1<<20)
		r.waits(r.admit(a))
		got := r.pending()
		if !strings.HasPrefix(got.Reason, "a  b\ufffd\ufffdgnp.exe é") || len(got.Reason) > 1100 || len(got.Version) > 300 {
			t.Errorf("kept as %d bytes %.40q, version of %d bytes", len(got.Reason), got.Reason, len(got.Version))
		}
	})
}

func TestAWatchTellsOfEachRequestAndItsEnd(t *testing.T) {
	bubble(t, func(r *rig) {
		r.ended(r.admit(unload(func(tt *access.Terms) { tt.Mode = access.Ask })))
		first := r.pending().ID
		seen := make(chan string, 100)
		other, _ := r.replica(r.store.Again())
		go func() {
			for request := range other.Watch(r.t.Context()) {
				seen <- request.ID + " " + string(request.State)
			}
		}()
		synctest.Wait()
		time.Sleep(time.Second)
		a := unload(func(tt *access.Terms) { tt.Mode = access.Ask })
		a.Model = "prod-other"
		r.ended(r.admit(a))
		time.Sleep(time.Minute) // many hints that say nothing new
		r.approve(carol, first)
		time.Sleep(14 * time.Minute)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		var got []string
		for len(seen) > 0 {
			got = append(got, <-seen)
		}
		all, _ := r.engine.List(r.t.Context(), approval.Filter{})
		second := all[len(all)-1].ID
		want := []string{first + " pending", second + " pending", first + " approved", second + " expired"}
		if !slices.Equal(got, want) {
			t.Errorf("told  %q\nwant %q", got, want)
		}
	})
}
