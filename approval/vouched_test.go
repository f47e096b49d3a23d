package approval_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/store"
)

// behind is the store behind a key.
func (r *rig) behind() store.Store {
	r.t.Helper()
	ring, err := secret.NewKeyring(secret.NewBytes(make([]byte, secret.KeySize)))
	if err != nil {
		r.t.Fatal(err)
	}
	return secret.NewAuthentic(r.store, secret.AuthenticOptions{
		Ring: ring, Kinds: []store.Kind{approval.KindRequest, approval.KindGrant, approval.KindAsked}, Log: slog.New(slog.DiscardHandler),
	})
}

// TestWhatWasKeptBeforeThereWasAKey lets nobody through, and is in nobody's way: the
// same call asks anew. What nobody has vouched for is deleted when it has ended.
func TestWhatWasKeptBeforeThereWasAKey(t *testing.T) {
	bubble(t, func(r *rig) {
		call := r.admit(unload())
		before := r.pending()
		r.approve(carol, before.ID)
		r.passed(call) // its grant lives
		other := unload()
		other.Model = "prod-other"
		r.admit(other)

		r.stop()
		r.engine, _ = r.replica(r.behind())
		if r.count("") != 0 {
			t.Error("requests of before are there")
		}
		_, err := r.engine.Approve(t.Context(), carol, before.ID, approval.Answer{})
		refused(t, err, access.NotFound, access.ReasonNotFound)
		again := r.admit(unload())
		r.waits(again)
		r.approve(carol, r.pending().ID)
		r.passed(again)
		r.passed(r.admit(unload()))
		waits := r.admit(other)
		r.approve(carol, r.pending().ID)
		r.passed(waits)

		time.Sleep(2 * time.Hour)
		for kind, want := range map[store.Kind]int{approval.KindRequest: 3, approval.KindGrant: 2} { // the request that was approved is kept for longer
			all, err := r.store.List(t.Context(), store.Query{Kind: kind})
			if err != nil || len(all) != want {
				t.Errorf("%d items of kind %s are left, %v", len(all), kind, err)
			}
		}
	})
}

// TestWhatWasKeptBeforeTheKeyWasTakenAway is in nobody's way either: lists leave it out,
// the same call asks anew, and it is deleted when it is old.
func TestWhatWasKeptBeforeTheKeyWasTakenAway(t *testing.T) {
	bubble(t, func(r *rig) {
		r.stop()
		var stop func()
		r.engine, stop = r.replica(r.behind())
		call := r.admit(unload())
		before := r.pending()
		r.approve(carol, before.ID)
		r.passed(call) // its grant lives
		other := unload()
		other.Model = "prod-other"
		waits := r.admit(other)
		asked := r.pending().ID
		stop()
		refused(t, r.ended(waits).err, access.Unavailable, access.ReasonInterrupted)

		r.engine, _ = r.replica(r.store)
		if grants, err := r.engine.ListGrants(t.Context(), approval.Filter{}); err != nil || len(grants) != 0 || r.count("") != 0 {
			t.Errorf("%d grants of before are there, %d requests, %v", len(grants), r.count(""), err)
		}
		_, err := r.engine.Approve(t.Context(), carol, asked, approval.Answer{})
		refused(t, err, access.NotFound, access.ReasonNotFound)
		again := r.admit(unload())
		r.waits(again)
		r.approve(carol, r.pending().ID)
		r.passed(again)
		time.Sleep(31 * 24 * time.Hour)
		for _, kind := range []store.Kind{approval.KindRequest, approval.KindGrant} {
			if all, err := r.store.List(t.Context(), store.Query{Kind: kind, ExpiresBefore: time.Now()}); err != nil || len(all) != 0 {
				t.Errorf("%d items of kind %s are left, %v", len(all), kind, err)
			}
		}
	})
}

// TestAnotherCallsRequestIsNotThisCalls: who writes to the database has nobody wait for
// what another asked, nor hear of it.
func TestAnotherCallsRequestIsNotThisCalls(t *testing.T) {
	bubble(t, func(r *rig) {
		r.admit(unload())
		of := r.pending()
		other := unload()
		other.Principal, other.Model = eve, "prod-other"
		call := r.admit(other)
		asked, err := r.store.List(t.Context(), store.Query{Kind: approval.KindAsked, Owner: eve.ID()})
		if err != nil || len(asked) != 1 {
			t.Fatal(asked, err)
		}
		asked[0].Body = []byte(of.ID)
		if err := r.store.Apply(t.Context(), store.Change{Item: asked[0]}); err != nil {
			t.Fatal(err)
		}
		r.waits(call)
		r.admit(other)
		mine, err := r.engine.List(t.Context(), approval.Filter{State: approval.Pending, Owner: eve.ID()})
		if err != nil || len(mine) != 2 || mine[1].Digest != mine[0].Digest {
			t.Errorf("eve has asked %v, %v; want for hers anew", mine, err)
		}
	})
}

// TestAnOlderStateOfAGrantIsNotUsed: who puts back a grant of which less was used, in the
// database, gives himself no use of it, wherever that is seen.
func TestAnOlderStateOfAGrantIsNotUsed(t *testing.T) {
	bubble(t, func(r *rig) {
		r.stop()
		r.engine, _ = r.replica(r.behind())
		three := unload(func(t *access.Terms) { t.Uses = 3 })
		call := r.admit(three)
		r.approve(carol, r.pending().ID)
		old, err := r.store.List(t.Context(), store.Query{Kind: approval.KindGrant})
		if err != nil || len(old) != 1 {
			t.Fatal(old, err)
		}
		r.passed(call)
		r.passed(r.admit(three))
		now, err := r.store.Get(t.Context(), approval.KindGrant, old[0].ID)
		if err != nil || now.Revision == old[0].Revision {
			t.Fatal(now, err)
		}
		old[0].Revision = now.Revision
		if err := r.store.Apply(t.Context(), store.Change{Item: old[0]}); err != nil {
			t.Fatal(err)
		}
		r.waits(r.admit(three))
	})
}
