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

// behindKey is a replica whose store holds what carries a keyed hash alone.
func (r *rig) behindKey() *approval.Engine {
	r.t.Helper()
	ring, err := secret.NewKeyring(secret.NewBytes(make([]byte, secret.KeySize)))
	if err != nil {
		r.t.Fatal(err)
	}
	e, _ := r.replica(secret.NewAuthentic(r.store, secret.AuthenticOptions{
		Ring: ring, Kinds: []store.Kind{approval.KindRequest, approval.KindGrant}, Log: slog.New(slog.DiscardHandler),
	}))
	return e
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
		r.engine = r.behindKey()
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
