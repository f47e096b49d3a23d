package session_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/session"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/storetest"
)

// two are two replicas on one database.
func two(t *testing.T) (a, b *session.Registry, items *storetest.Memory) {
	t.Helper()
	items = storetest.NewMemory()
	return replica(t, "a", items), replica(t, "b", items.Again()), items
}

func TestAPrincipalIsEndedOnEveryReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := two(t)
		conn := b.Connect()
		stream := open(t, conn, "bob", true)
		time.Sleep(10 * time.Second) // b tells of its sessions
		synctest.Wait()
		k := kill(t, a, session.Order{Principal: issuer + "#bob", For: time.Hour})
		synctest.Wait()
		if k.Sessions != 1 || !k.Everywhere || len(stream.ended()) != 1 || try(conn, "bob") != access.ReasonSessionKilled {
			t.Errorf("killed %+v, ended %v", k, stream.ended())
		}
		if err := b.Lift(t.Context(), issuer+"#bob"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if try(a.Connect(), "bob") != "" || try(conn, "bob") != "" {
			t.Error("the lift is not known everywhere")
		}
		kill(t, a, session.Order{Principal: issuer + "#bob", For: time.Hour})
		time.Sleep(time.Hour)
		if try(conn, "bob") != "" {
			t.Error("kept out when the time is over")
		}
		stream.close()
	})
}

func TestASessionOfAnotherReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := two(t)
		stream, other := open(t, b.Connect(), "bob", true), open(t, b.Connect(), "bob", true)
		stream.Message("tokens", time.Now())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		all := a.List(t.Context(), session.Filter{ID: stream.about.Session}).Sessions
		if len(all) != 1 || all[0].Replica != "b" || all[0].Who.ID != issuer+"#bob" || all[0].RPC != "ModelStreamInfer" {
			t.Fatalf("a sees %+v", all)
		}
		kill(t, a, session.Order{Session: stream.about.Session})
		synctest.Wait()
		if len(stream.ended()) != 1 || len(other.ended()) != 0 {
			t.Errorf("ended %v and %v", stream.ended(), other.ended())
		}
		if _, err := a.Kill(t.Context(), session.Order{Session: "0123"}); reason(err) != access.ReasonNotFound {
			t.Errorf("nobody's session: %v", err)
		}
		stream.close()
		other.close()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if left := a.List(t.Context(), session.Filter{}); len(left.Sessions) != 0 {
			t.Errorf("a still sees %+v", left)
		}
	})
}

func TestAReplicaThatStartsLaterKnowsWhoIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, items := two(t)
		kill(t, a, session.Order{Principal: issuer + "#bob"})
		c := session.New(session.Options{Store: items.Again()})
		if err := c.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := try(c.Connect(), "bob"); got != access.ReasonSessionKilled {
			t.Errorf("got %q", got)
		}
		gone := items.Again()
		gone.SetAway(true)
		if err := session.New(session.Options{Store: gone}).Load(t.Context()); err == nil {
			t.Error("a replica starts without knowing who is out")
		}
	})
}

func TestWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items := storetest.NewMemory()
		mine := items.Again()
		a, b := replica(t, "a", mine), replica(t, "b", items)
		kill(t, a, session.Order{Principal: issuer + "#carol"})
		stream := open(t, a.Connect(), "bob", true)
		mine.SetAway(true)
		k := kill(t, a, session.Order{Principal: issuer + "#bob"})
		synctest.Wait()
		if k.Everywhere || len(stream.ended()) != 1 || try(a.Connect(), "bob") == "" {
			t.Errorf("this replica does not obey: %+v", k)
		}
		if try(b.Connect(), "bob") != "" {
			t.Error("how does b know?")
		}
		if _, err := a.Kill(t.Context(), session.Order{Session: "elsewhere"}); reason(err) != access.ReasonStoreAway {
			t.Errorf("a session elsewhere: %v", err)
		}
		if err := a.Lift(t.Context(), issuer+"#carol"); reason(err) != access.ReasonStoreAway || try(a.Connect(), "carol") == "" {
			t.Errorf("lifted without the store: %v", err)
		}
		time.Sleep(time.Hour)
		if try(a.Connect(), "carol") == "" || !a.List(t.Context(), session.Filter{}).Partial {
			t.Error("what is known does not stay in force, or the list looks whole")
		}
		mine.SetAway(false)
		time.Sleep(2 * store.Poll)
		synctest.Wait()
		if try(b.Connect(), "bob") != access.ReasonSessionKilled {
			t.Error("the others do not hear of it when the store is back")
		}
		stream.close()
	})
}

// TestSnapshotsAreFew: nothing is written while nothing happens, and not more than
// a snapshot every few seconds while much does.
func TestSnapshotsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items := storetest.NewMemory()
		var writes atomic.Int64
		items.Before(func(op string, changes []store.Change) error {
			if op == "apply" && changes[0].Kind == session.KindReplica {
				writes.Add(1)
			}
			return nil
		})
		r := replica(t, "a", items)
		time.Sleep(time.Hour)
		if n := writes.Load(); n != 0 {
			t.Errorf("%d writes for nobody", n)
		}
		conn := r.Connect()
		for range 600 { // a minute of streams that come and go
			open(t, conn, "bob", true).close()
			time.Sleep(100 * time.Millisecond)
		}
		if n := writes.Load(); n != 0 {
			t.Errorf("%d writes for sessions that nobody could have seen", n)
		}
		stream := open(t, conn, "bob", true)
		time.Sleep(time.Minute)
		if n := writes.Load(); n < 3 || n > 8 { // alive, and no more
			t.Errorf("%d writes in a minute for one stream", n)
		}
		stream.close()
		time.Sleep(10 * time.Second)
		n := writes.Load()
		time.Sleep(time.Hour)
		if more := writes.Load() - n; more != 0 {
			t.Errorf("%d writes after the end", more)
		}
	})
}

func TestASnapshotIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, items := two(t)
		conn := b.Connect()
		var all []*called
		for i := range 3000 {
			all = append(all, open(t, conn, fmt.Sprint("p", i), true))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(a.List(t.Context(), session.Filter{}).Sessions); n == 0 || n > 1000 {
			t.Errorf("a sees %d", n)
		}
		for _, item := range list(t, items, session.KindReplica) {
			if len(item.Body) > store.MaxBody/2 {
				t.Errorf("%d bytes", len(item.Body))
			}
		}
		for _, c := range all {
			c.close()
		}
	})
}

func list(t *testing.T, s store.Store, kind store.Kind) []store.Item {
	t.Helper()
	items, err := s.List(t.Context(), store.Query{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// TestADeadReplicasSnapshotIsNotBelieved: nobody took its item away.
func TestADeadReplicasSnapshotIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items := storetest.NewMemory()
		a := replica(t, "a", items.Again())
		body := []byte(`{"replica": "dead", "sessions": [{"id": "s", "who": {"id": "i#s"}}]}`)
		err := items.Apply(t.Context(), store.Change{Item: store.Item{Kind: session.KindReplica, ID: "dead", Expires: time.Now().Add(time.Minute), Body: body}})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(a.List(t.Context(), session.Filter{}).Sessions); n != 1 {
			t.Errorf("while it is believed: %d", n)
		}
		time.Sleep(time.Minute)
		if n := len(a.List(t.Context(), session.Filter{}).Sessions); n != 0 {
			t.Errorf("after its end: %d", n)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if left := list(t, items, session.KindReplica); len(left) != 0 {
			t.Errorf("it is still kept: %v", left)
		}
	})
}

// TestAnEndThatAnotherVersionWrote is obeyed by what every item says.
func TestAnEndThatAnotherVersionWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items := storetest.NewMemory()
		r := replica(t, "a", items.Again())
		err := items.Apply(t.Context(), store.Change{Item: store.Item{Kind: session.KindEnded, ID: "p1", Owner: issuer + "#bob", Body: []byte("\x01new")}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := try(r.Connect(), "bob"); got != access.ReasonSessionKilled {
			t.Errorf("got %q", got)
		}
	})
}
