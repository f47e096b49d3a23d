package session_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/session"
	"github.com/sluice-gateway/sluice/store/storetest"
)

// setClock can be set, and is believed until it was, or not.
type setClock struct {
	ahead atomic.Int64
	doubt atomic.Bool
}

func (c *setClock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *setClock) believed() bool          { return !c.doubt.Load() }
func (c *setClock) set(ahead time.Duration) { c.ahead.Store(int64(ahead)); c.doubt.Store(true) }

// TestAClockInDoubtLetsNobodyIn whose time is not over, on the replica that has it, on one
// that starts with it, and when it is right again.
func TestAClockInDoubtLetsNobodyIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items, c := storetest.NewMemory(), new(setClock)
		o := session.Options{Store: items, Now: c.now, Believed: c.believed}
		a := replicaWith(t, o)
		kill(t, a, session.Order{Principal: issuer + "#bob", For: 24 * time.Hour})
		c.set(30 * 24 * time.Hour)
		if try(a.Connect(), "bob") != access.ReasonSessionKilled || len(a.Ended()) != 1 {
			t.Error("the clock was set, and he is in at once")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		o.Store = items.Again()
		later := session.New(o)
		if err := later.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, r := range map[string]*session.Registry{"the replica": a, "one that starts": later} {
			if try(r.Connect(), "bob") != access.ReasonSessionKilled || !r.KeptOut(principal("bob")) {
				t.Errorf("%s lets him in while the clock is in doubt", name)
			}
		}
		if left := list(t, items, session.KindEnded); len(left) != 1 {
			t.Errorf("%d marks are left", len(left))
		}
		c.set(0)
		c.doubt.Store(false)
		time.Sleep(22 * time.Hour)
		if try(a.Connect(), "bob") != access.ReasonSessionKilled {
			t.Error("the clock is right again, and he is in before his time")
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if try(a.Connect(), "bob") != "" || len(a.Ended()) != 0 || len(list(t, items, session.KindEnded)) != 0 {
			t.Error("his time is over, and he is out")
		}
	})
}

// TestInDoubtAnAdministratorDecides: who is to come back is lifted, who is put out is out.
func TestInDoubtAnAdministratorDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items, c := storetest.NewMemory(), new(setClock)
		r := replicaWith(t, session.Options{Store: items, Now: c.now, Believed: c.believed})
		kill(t, r, session.Order{Principal: issuer + "#bob", For: time.Hour})
		kill(t, r, session.Order{Principal: issuer + "#carol", For: time.Hour})
		c.set(24 * time.Hour)
		if err := r.Lift(t.Context(), issuer+"#bob"); err != nil || try(r.Connect(), "bob") != "" {
			t.Errorf("he is out still: %v", err)
		}
		kill(t, r, session.Order{Principal: issuer + "#carol"})
		c.doubt.Store(false)
		time.Sleep(time.Hour)
		if ended := r.Ended(); len(ended) != 1 || !ended[0].Until.IsZero() {
			t.Errorf("kept out are %+v", ended)
		}
	})
}

// TestAKilledSessionIsOverByAnyClock: its id does not come back, and its mark is of no more use.
func TestAKilledSessionIsOverByAnyClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items, c := storetest.NewMemory(), new(setClock)
		a := replica(t, "a", items)
		b := replicaWith(t, session.Options{Store: items.Again(), Replica: "b", Now: c.now, Believed: c.believed})
		stream := open(t, b.Connect(), "bob", true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		c.doubt.Store(true)
		kill(t, a, session.Order{Session: stream.about.Session})
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if len(stream.ended()) != 1 || len(b.Ended()) != 0 || len(list(t, items, session.KindEnded)) != 0 {
			t.Errorf("ended %v, kept out %v", stream.ended(), b.Ended())
		}
		stream.close()
	})
}
