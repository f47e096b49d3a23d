package approval

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

func rung(b bell) bool {
	select {
	case <-b:
		return true
	default:
		return false
	}
}

func TestASlotWakesAllItsCallsOnce(t *testing.T) {
	w := newWaiting(10, 10)
	one, two := make(bell, 1), make(bell, 1)
	s := w.join(key{1}, one)
	if w.join(key{1}, two) != s || w.join(key{2}, two) == s {
		t.Fatal("calls with one key have two slots, or with two keys one")
	}
	w.name(s, one, "request")
	if w.calls("request") != 1 || !w.waitsFor("request") || !w.waitsFor("any, since one call does not know yet") {
		t.Error("it is not known who waits")
	}
	w.wake(key{1}, &Request{ID: "an older one"})
	if _, woken := w.outcome(s); woken || rung(one) {
		t.Error("an older request's end wakes the calls")
	}
	w.wake(key{1}, &Request{ID: "request", State: Denied})
	w.wake(key{1}, &Request{ID: "request", State: Approved})
	if r, woken := w.outcome(s); !woken || r.State != Denied || !rung(one) || !rung(two) || rung(one) {
		t.Errorf("the first word is not the last: %+v", r)
	}
	if w.join(key{1}, one) == s {
		t.Error("who waits again waits for what is over")
	}
	w.part(s, one)
	w.part(s, two)
	if len(w.slots) != 2 { // the new one, and that of the other key
		t.Errorf("%d slots are left", len(w.slots))
	}
}

func TestASlotIsForgottenWithItsLastCall(t *testing.T) {
	w := newWaiting(10, 10)
	one, two := make(bell, 1), make(bell, 1)
	s := w.join(key{1}, one)
	w.join(key{1}, two)
	w.name(s, one, "request")
	w.part(s, one)
	if w.calls("request") != 0 || len(w.slots) != 1 {
		t.Error("the other call is forgotten too")
	}
	w.part(s, two)
	if len(w.slots) != 0 || len(w.byID) != 0 || w.waitsFor("request") {
		t.Error("the slot is kept")
	}
	w.wakeID("request")
}

func TestPlacesAreGivenBack(t *testing.T) {
	w := newWaiting(2, 3)
	a, b := &access.Principal{Subject: "a"}, &access.Principal{Subject: "b"}
	for i, c := range []struct {
		who   *access.Principal
		leave bool
		in    bool
	}{{a, false, true}, {a, false, true}, {a, false, false}, {b, false, true}, {b, false, false}, {a, true, true}, {b, false, true}, {a, false, false}} {
		if c.leave {
			w.leave(c.who)
			continue
		}
		if refused := w.enter(c.who); (refused == nil) != c.in {
			t.Errorf("step %d: %v", i, refused)
		}
	}
	for _, who := range []*access.Principal{a, b, b} {
		w.leave(who)
	}
	if w.all != 0 || len(w.by) != 0 {
		t.Errorf("%d places are taken by %v", w.all, w.by)
	}
}

func live1(id string, revision int64, state State) grant {
	now := time.Now()
	return grant{&Grant{ID: id, Source: FromAccess, State: state, Holder: Person{Subject: "a"}, Granted: now, Until: now.Add(time.Hour)}, revision}
}

// TestWhatIsOverDoesNotComeBack has memory read a list that was made before the
// grant was revoked.
func TestWhatIsOverDoesNotComeBack(t *testing.T) {
	m, c := newMirror(), newClock(nil)
	who := &access.Principal{Subject: "a"}
	m.put(live1("g", 1, Live), &c, 0)
	if len(m.held(who)) != 1 {
		t.Fatal("the grant is not there")
	}
	over := m.put(live1("g", 2, Revoked), &c, 0).over
	m.put(live1("g", 1, Live), &c, 0)
	if len(m.held(who)) != 0 || over.Load() != revoked || m.ahead.Load() != 0 {
		t.Error("an old list brings a revoked grant back")
	}
	m.drop("g")
	if over.Load() != revoked || m.get("g") != nil {
		t.Error("a stream forgets that its grant was revoked")
	}
}

// TestANewRevisionLastsNoLonger: each time that a grant is read anew, the time
// that it has left is that of its first reading.
func TestANewRevisionLastsNoLonger(t *testing.T) {
	back := time.Duration(0)
	m, c := newMirror(), newClock(func() time.Time { return time.Now().Add(-back) })
	first := m.put(live1("g", 1, Live), &c, 0)
	back = 30 * time.Minute
	again := live1("g", 2, Live)
	again.Until = again.Until.Add(time.Hour) // written by a clock that was set forward
	if second := m.put(again, &c, 0); second.ends > first.ends {
		t.Errorf("it ends after %v, and then after %v", first.ends, second.ends)
	}
}

func TestTextsThatStandInItems(t *testing.T) {
	long := string(make([]byte, 2000))
	for text, kept := range map[string]bool{"https://issuer#alice": true, "with a \x00": false, "not \xff UTF-8": false, long: false} {
		if got := Owner(text); (got == text) != kept || len(got) > 1024 {
			t.Errorf("%.20q is kept as %.20q", text, got)
		}
	}
	if Owner("a\x00") == Owner("b\x00") {
		t.Error("two principals are one owner")
	}
}
