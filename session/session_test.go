package session_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/session"
)

func TestCallsOfOneConnectionAreOneSession(t *testing.T) {
	r := session.New(session.Options{})
	conn, other := r.Connect(), r.Connect()
	first, second := open(t, conn, "bob", false), open(t, conn, "bob", false)
	alice, elsewhere := open(t, conn, "alice", false), open(t, other, "bob", false)
	stream := open(t, conn, "bob", true)
	same := first.about.Session
	if len(same) != 32 || second.about.Session != same {
		t.Errorf("bob's calls are of %q and %q", same, second.about.Session)
	}
	for who, c := range map[string]*called{"alice": alice, "bob on another connection": elsewhere, "bob's stream": stream} {
		if c.about.Session == same {
			t.Errorf("%s is in the same session", who)
		}
	}
	first.close()
	second.close()
	if third := open(t, conn, "bob", false); third.about.Session != same {
		t.Error("the session ended with its calls, while its connection goes on")
	}
	stream.close()
	if n := len(r.List(t.Context(), session.Filter{}).Sessions); n != 3 {
		t.Errorf("%d sessions are live", n)
	}
	other.Close()
	elsewhere.close()
	if n := len(r.List(t.Context(), session.Filter{}).Sessions); n != 2 {
		t.Errorf("%d sessions are live after a connection has ended", n)
	}
}

func TestWhatAListSays(t *testing.T) {
	r := session.New(session.Options{Replica: "here"})
	conn := r.Connect()
	single := open(t, conn, "bob", false)
	single.about.Model, single.about.Decision.Allowed = "simple", true
	single.close()
	refused := open(t, conn, "bob", false)
	refused.about.Model = "secret-model"
	refused.close()
	stream := open(t, conn, "bob", true)
	stream.Message("tokens", time.Now())
	stream.Message("tokens", time.Now())
	stream.Message("simple", time.Now())
	all := r.List(t.Context(), session.Filter{Principal: issuer + "#bob"}).Sessions
	if len(all) != 2 {
		t.Fatalf("got %+v", all)
	}
	for _, s := range all {
		want := session.Info{Calls: 2, Models: []string{"simple"}}
		if s.RPC != "" {
			want = session.Info{Calls: 3, Models: []string{"tokens", "simple"}, RPC: "ModelStreamInfer", Open: 1}
		}
		if s.Calls != want.Calls || fmt.Sprint(s.Models) != fmt.Sprint(want.Models) || s.RPC != want.RPC || s.Open != want.Open ||
			s.Replica != "here" || s.Door != "grpc" || s.Peer != "192.0.2.1" || s.Who.Name != "bob" {
			t.Errorf("got %+v", s)
		}
	}
	for _, f := range []session.Filter{{Principal: issuer + "#bo"}, {Principal: "bob"}, {ID: "x"}} {
		if got := r.List(t.Context(), f).Sessions; len(got) != 0 {
			t.Errorf("%+v finds %v", f, got)
		}
	}
}

func TestModelsAreBounded(t *testing.T) {
	r := session.New(session.Options{})
	stream := open(t, r.Connect(), "bob", true)
	for i := range 100 {
		stream.Message(fmt.Sprint("m", i), time.Now())
	}
	stream.Message("m90", time.Now())
	models := r.List(t.Context(), session.Filter{}).Sessions[0].Models
	if len(models) != 16 || models[15] != "m90" || models[14] != "m99" {
		t.Errorf("got %v", models)
	}
}

// TestIdleSessionsOfAConnectionAreBounded: a proxy's connection carries many.
func TestIdleSessionsOfAConnectionAreBounded(t *testing.T) {
	r := session.New(session.Options{})
	conn := r.Connect()
	for i := range 1000 {
		open(t, conn, fmt.Sprint("p", i), false).close()
	}
	if n := len(r.List(t.Context(), session.Filter{}).Sessions); n > 128 {
		t.Errorf("%d sessions are kept", n)
	}
}

func TestKillOneSession(t *testing.T) {
	r := session.New(session.Options{})
	conn := r.Connect()
	stream, single, alice := open(t, conn, "bob", true), open(t, conn, "bob", false), open(t, conn, "alice", true)
	k := kill(t, r, session.Order{Session: stream.about.Session})
	if why := stream.ended(); k.Sessions != 1 || k.Ended != nil || len(why) != 1 || why[0].Reason != access.ReasonSessionKilled || stream.Ended() != why[0] {
		t.Errorf("killed %+v, told %v", k, why)
	}
	if len(single.ended())+len(alice.ended()) != 0 {
		t.Error("others were ended too")
	}
	kill(t, r, session.Order{Session: single.about.Session})
	again := open(t, conn, "bob", false)
	if again.about.Session == single.about.Session || len(again.ended()) != 0 {
		t.Error("an id came back, or the next call was ended too")
	}
	if _, err := r.Kill(t.Context(), session.Order{Session: stream.about.Session}); reason(err) != access.ReasonNotFound {
		t.Errorf("killed twice: %v", err)
	}
	if got := ids(r.List(t.Context(), session.Filter{Principal: issuer + "#bob"})); len(got) != 1 || got[0] != again.about.Session {
		t.Errorf("killed sessions are listed: %v", got)
	}
	for _, c := range []*called{stream, single, alice, again} {
		c.close()
	}
	conn.Close()
	if n := len(r.List(t.Context(), session.Filter{}).Sessions); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestKillAPrincipal(t *testing.T) {
	now := time.Now()
	r := session.New(session.Options{Now: func() time.Time { return now }})
	conn := r.Connect()
	stream, single := open(t, conn, "bob", true), open(t, conn, "bob", false)
	near, idle := open(t, conn, "bobby", true), open(t, r.Connect(), "bob", false)
	idle.close()
	k := kill(t, r, session.Order{Principal: issuer + "#bob", For: time.Hour, Reason: "left"})
	if k.Sessions != 3 || !k.Everywhere || k.Ended.Reason != "left" || k.Ended.By.Name != "admin" {
		t.Errorf("killed %+v", k)
	}
	why := append(stream.ended(), single.ended()...)
	if len(why) != 2 || strings.Contains(why[0].Message, "left") || why[0].Kind != access.PermissionDenied || !strings.Contains(why[0].Message, "ask whoever administers") {
		t.Errorf("told %v", why)
	}
	if len(near.ended()) != 0 {
		t.Error("somebody of a similar name was ended")
	}
	if got := try(conn, "bob"); got != access.ReasonSessionKilled {
		t.Errorf("a new call: %q", got)
	}
	if got := try(r.Connect(), "bob"); got != access.ReasonSessionKilled {
		t.Errorf("on a new connection: %q", got)
	}
	if got := try(conn, "bobby"); got != "" {
		t.Errorf("bobby: %q", got)
	}
	if all := r.Ended(); len(all) != 1 || all[0].Principal != issuer+"#bob" {
		t.Errorf("kept out: %+v", all)
	}
	late := call("bob", false)
	late.about.Opened = now.Add(time.Hour)
	if err := conn.Open(late.about, &late.Call, late); err != nil {
		t.Errorf("when the time is over: %v", err)
	}
}

func TestLift(t *testing.T) {
	r := session.New(session.Options{})
	who := issuer + "#bob"
	kill(t, r, session.Order{Principal: who})
	bob := &access.Principal{Issuer: issuer, Subject: "bob"}
	if all := r.Ended(); len(all) != 1 || !all[0].Until.IsZero() || !r.KeptOut(bob) || r.KeptOut(&access.Principal{Issuer: issuer, Subject: "alice"}) {
		t.Errorf("got %+v", all)
	}
	if err := r.Lift(t.Context(), issuer+"#alice"); reason(err) != access.ReasonNotFound {
		t.Errorf("lifted who was not kept out: %v", err)
	}
	if err := r.Lift(t.Context(), who); err != nil {
		t.Error(err)
	}
	if got := try(r.Connect(), "bob"); got != "" || r.KeptOut(bob) {
		t.Errorf("after the lift: %q", got)
	}
}

func TestALaterOrderDoesNotShortenAnEarlier(t *testing.T) {
	r := session.New(session.Options{})
	who := issuer + "#bob"
	kill(t, r, session.Order{Principal: who, For: time.Hour})
	if k := kill(t, r, session.Order{Principal: who, For: time.Minute}); time.Until(k.Ended.Until) < 50*time.Minute {
		t.Errorf("ends %v", k.Ended.Until)
	}
	if k := kill(t, r, session.Order{Principal: who}); !k.Ended.Until.IsZero() {
		t.Errorf("for ever ends %v", k.Ended.Until)
	}
	if k := kill(t, r, session.Order{Principal: who, For: time.Hour}); !k.Ended.Until.IsZero() {
		t.Errorf("for ever was shortened to %v", k.Ended.Until)
	}
}

func TestOrdersThatMakeNoSense(t *testing.T) {
	r := session.New(session.Options{})
	for name, o := range map[string]session.Order{
		"nothing":           {},
		"both":              {Session: "x", Principal: issuer + "#bob"},
		"a name":            {Principal: "bob"},
		"no issuer":         {Principal: "#bob"},
		"no subject":        {Principal: issuer + "#"},
		"a byte 0":          {Principal: issuer + "#b\x00b"},
		"a huge principal":  {Principal: issuer + "#" + strings.Repeat("x", 2000)},
		"a huge session id": {Session: strings.Repeat("x", 2000)},
		"back in time":      {Principal: issuer + "#bob", For: -1},
		"a huge reason":     {Principal: issuer + "#bob", Reason: strings.Repeat("x", 501)},
	} {
		if _, err := r.Kill(t.Context(), o); reason(err) != access.ReasonMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(r.Ended()) != 0 {
		t.Error("somebody is kept out")
	}
}

// TestNobodySlipsThroughAKill: a call that opens while its principal is being ended
// is refused or ended.
func TestNobodySlipsThroughAKill(t *testing.T) {
	for range 50 {
		r := session.New(session.Options{})
		var calls sync.WaitGroup
		var mu sync.Mutex
		var let []*called
		for range 4 {
			conn := r.Connect()
			calls.Go(func() {
				for range 20 {
					c := call("bob", true)
					if conn.Open(c.about, &c.Call, c) != nil {
						continue
					}
					mu.Lock()
					let = append(let, c)
					mu.Unlock()
				}
			})
		}
		kill(t, r, session.Order{Principal: issuer + "#bob"})
		calls.Wait()
		for _, c := range let {
			if c.Ended() == nil || len(c.ended()) != 1 {
				t.Fatalf("a call goes on: %v", c.ended())
			}
			c.close()
		}
	}
}

func BenchmarkCall(b *testing.B) {
	r := session.New(session.Options{})
	conn := r.Connect()
	c := call("bob", false)
	for name, prepare := range map[string]func(){"nobody is kept out": func() {}, "somebody is": func() {
		_, _ = r.Kill(b.Context(), session.Order{Principal: issuer + "#alice"})
	}} {
		b.Run(name, func(b *testing.B) {
			prepare()
			b.ReportAllocs()
			for b.Loop() {
				var one session.Call
				if err := conn.Open(c.about, &one, c); err != nil {
					b.Fatal(err)
				}
				one.Close(c.about)
			}
		})
	}
}
