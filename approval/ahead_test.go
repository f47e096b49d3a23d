package approval_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/store"
)

func want(change ...func(*approval.Want)) approval.Want {
	w := approval.Want{Verb: access.Unload, Model: "simple", For: time.Hour, Reason: "moving"}
	for _, f := range change {
		f(&w)
	}
	return w
}

func TestAccessIsAskedForAndGiven(t *testing.T) {
	bubble(t, func(r *rig) {
		if r.engine.Allows(alice, access.Unload, "simple") != nil || !r.engine.MayAsk(alice, access.Unload, "simple") {
			t.Fatal("alice may already, or may not ask")
		}
		request, err := r.engine.RequestAccess(r.t.Context(), alice, want())
		if err != nil || request.State != approval.Pending {
			t.Fatalf("asked: %+v, %v", request, err)
		}
		again, err := r.engine.RequestAccess(r.t.Context(), alice, want())
		if err != nil || again.ID != request.ID {
			t.Errorf("the same question is another request: %+v, %v", again, err)
		}
		_, err = r.engine.Approve(r.t.Context(), alice, request.ID, approval.Answer{})
		refused(t, err, access.PermissionDenied, access.ReasonNotApprover, "yours")
		r.approve(carol, request.ID)
		got := r.engine.Allows(alice, access.Unload, "simple")
		if got == nil || got.Request != request.ID || got.Approvers[0] != carol.ID() || got.BreakGlass {
			t.Fatalf("allowed by %+v", got)
		}
		if !r.engine.Sees(alice, "simple") || r.engine.Sees(alice, "other") {
			t.Error("alice sees other models than the one of her grant")
		}
		for name, other := range map[string]*access.Approval{
			"another verb":   r.engine.Allows(alice, access.Load, "simple"),
			"another model":  r.engine.Allows(alice, access.Unload, "simple2"),
			"another person": r.engine.Allows(eve, access.Unload, "simple"),
			"without groups": r.engine.Allows(person("alice"), access.Unload, "simple"),
			"nobody":         r.engine.Allows(nil, access.Unload, "simple"),
		} {
			if other != nil {
				t.Errorf("%s is allowed by %+v", name, other)
			}
		}
		if again, err = r.engine.RequestAccess(r.t.Context(), alice, want()); err != nil || again.ID != request.ID || again.State != approval.Approved {
			t.Errorf("asked again within the grant: %+v, %v", again, err)
		}
		time.Sleep(time.Hour)
		if got := r.engine.Allows(alice, access.Unload, "simple"); got != nil {
			t.Errorf("after its time alice is allowed by %+v", got)
		}
		if again, err = r.engine.RequestAccess(r.t.Context(), alice, want()); err != nil || again.ID == request.ID {
			t.Errorf("asked again after the grant: %+v, %v", again, err)
		}
	})
}

func TestAGrantOfAccessIsNoApprovalOfACall(t *testing.T) {
	bubble(t, func(r *rig) {
		request, err := r.engine.RequestAccess(r.t.Context(), alice, want(func(w *approval.Want) { w.Model = "prod-simple" }))
		if err != nil {
			t.Fatal(err)
		}
		r.approve(carol, request.ID)
		r.waits(r.admit(unload()))
	})
}

func TestARequestWiderThanItsEntry(t *testing.T) {
	for name, c := range map[string]struct {
		who  *access.Principal
		want approval.Want
		kind access.ErrorKind
		text string
	}{
		"longer":                {alice, want(func(w *approval.Want) { w.For = 4*time.Hour + 1 }), access.PermissionDenied, "4h0m0s at most"},
		"for less than nothing": {alice, want(func(w *approval.Want) { w.For = -1 }), access.PermissionDenied, "no access entry"},
		"another verb":          {alice, want(func(w *approval.Want) { w.Verb = access.Infer }), access.PermissionDenied, "no access entry"},
		"a verb of the gateway": {alice, want(func(w *approval.Want) { w.Verb = access.Approve }), access.PermissionDenied, "no access entry"},
		"a verb that is none":   {alice, want(func(w *approval.Want) { w.Verb = 200 }), access.PermissionDenied, "no access entry"},
		"another group":         {dave, want(), access.PermissionDenied, "no access entry"},
		"a pattern":             {alice, want(func(w *approval.Want) { w.Model = "../*" }), access.Malformed, "walks a path"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				_, err := r.engine.RequestAccess(r.t.Context(), c.who, c.want)
				reason := access.ReasonAccessWider
				if c.kind == access.Malformed {
					reason = access.ReasonModelName
				}
				refused(t, err, c.kind, reason, c.text)
				if r.count("") != 0 {
					t.Error("a request was made")
				}
			})
		})
	}
}

// TestAPatternIsAName: who asks for "*" has asked for a model of that name.
func TestAPatternIsAName(t *testing.T) {
	bubble(t, func(r *rig) {
		request, err := r.engine.RequestAccess(r.t.Context(), alice, want(func(w *approval.Want) { w.Model = "*" }))
		if err != nil {
			t.Fatal(err)
		}
		r.approve(carol, request.ID)
		if r.engine.Allows(alice, access.Unload, "simple") != nil {
			t.Error("a grant for the model * is one for all models")
		}
	})
}

func TestAccessEndsWithItsEntry(t *testing.T) {
	bubble(t, func(r *rig) {
		request, err := r.engine.RequestAccess(r.t.Context(), alice, want())
		if err != nil {
			t.Fatal(err)
		}
		r.approve(carol, request.ID)
		other, err := r.engine.RequestAccess(r.t.Context(), alice, want(func(w *approval.Want) { w.Model = "other" }))
		if err != nil {
			t.Fatal(err)
		}
		r.engine.Replace(&approval.Rules{})
		if r.engine.Allows(alice, access.Unload, "simple") != nil {
			t.Error("the grant outlives its entry")
		}
		_, err = r.engine.Approve(r.t.Context(), carol, other.ID, approval.Answer{})
		refused(t, err, access.NeedsApproval, access.ReasonApprovalVoid)
		synctest.Wait()
		if g, err := r.engine.GetGrant(r.t.Context(), r.request(request.ID).Grant); err != nil || g.State != approval.Void {
			t.Errorf("the grant is %+v, %v", g, err)
		}
	})
}

func TestAMemberOfTwoGroupsAsksByTheWidestEntry(t *testing.T) {
	p, problems := approval.Compile([]approval.File{{Document: approval.Document{Access: []approval.Entry{
		{Models: []string{"*"}, Verbs: []string{"*"}, For: []string{"ml-users"}, By: []string{"approvers"}, Max: time.Hour},
		{Models: []string{"simple"}, Verbs: []string{"unload"}, For: []string{"ml-users"}, By: []string{"leads"}, Max: 3 * time.Hour, Count: 2},
	}}}}, approval.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	bubble(t, func(r *rig) {
		r.engine.Replace(&approval.Rules{Access: p})
		short, err := r.engine.RequestAccess(r.t.Context(), alice, want())
		if err != nil || short.By[0] != "approvers" {
			t.Errorf("an hour is asked of %+v, %v", short, err)
		}
		long, err := r.engine.RequestAccess(r.t.Context(), alice, want(func(w *approval.Want) { w.For = 2 * time.Hour }))
		if err != nil || long.By[0] != "leads" || long.Count != 2 {
			t.Errorf("two hours are asked of %+v, %v", long, err)
		}
		_, err = r.engine.RequestAccess(r.t.Context(), alice, want(func(w *approval.Want) { w.For = 4 * time.Hour }))
		refused(t, err, access.PermissionDenied, access.ReasonAccessWider, "3h0m0s at most")
	})
}

// TestWhoAgreesAhead: a suite of policy tests is told who would be asked, and nobody
// where no entry lets the caller ask.
func TestWhoAgreesAhead(t *testing.T) {
	p, problems := approval.Compile([]approval.File{{Document: approval.Document{Access: []approval.Entry{
		{Models: []string{"prod-*"}, Verbs: []string{"unload"}, For: []string{"ml-users"}, By: []string{"approvers", "leads"}, Max: time.Hour},
	}}}}, approval.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	stranger := &access.Principal{Subject: "mallory", Groups: []string{"visitors"}}
	for name, c := range map[string]struct {
		who   *access.Principal
		verb  access.Verb
		model string
		want  []string
	}{
		"a member":                     {alice, access.Unload, "prod-simple", []string{"approvers", "leads"}},
		"another verb":                 {alice, access.Load, "prod-simple", nil},
		"another model":                {alice, access.Unload, "simple", nil},
		"somebody of no group":         {stranger, access.Unload, "prod-simple", nil},
		"a verb that is of no model":   {alice, access.Shm, "prod-simple", nil},
		"all models, which none gives": {alice, access.Unload, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.Approvers(c.who, c.verb, c.model)
			if !slices.Equal(got, c.want) {
				t.Errorf("asked are %q, want %q", got, c.want)
			}
			if clear(got); c.want != nil && !slices.Equal(p.Approvers(c.who, c.verb, c.model), c.want) {
				t.Error("who changes the answer changes the policy")
			}
		})
	}
}

func TestBreakGlass(t *testing.T) {
	glass := want(func(w *approval.Want) { w.Model = "prod-simple"; w.For = 0 })
	bubble(t, func(r *rig) {
		g, err := r.engine.BreakGlass(r.t.Context(), alice, glass)
		if err != nil || g.Until.Sub(g.Granted) != time.Hour || g.Source != approval.FromBreakGlass {
			t.Fatalf("got %+v, %v", g, err)
		}
		if got := r.engine.Allows(alice, access.Unload, "prod-simple"); got == nil || !got.BreakGlass || got.Grant != g.ID {
			t.Errorf("allowed by %+v", got)
		}
		if got := r.passed(r.admit(unload())); !got.BreakGlass || got.Grant != g.ID {
			t.Errorf("a guarded call is let through by %+v", got)
		}
		notes := r.notifications()
		if last := notes[len(notes)-1]; last.Event != access.EventBreakGlass || last.Reason != "moving" || last.Grant != g.ID || last.RequesterName != "alice" {
			t.Errorf("people are told %+v", last)
		}
		r.glass = nil // the role is taken away
		if _, err := r.engine.Revoke(r.t.Context(), alice, g.ID, "", false); err != nil {
			t.Fatal(err)
		}
		if r.engine.Allows(alice, access.Unload, "prod-simple") != nil {
			t.Error("a revoked grant allows")
		}
		for range 2 {
			if _, err := r.engine.BreakGlass(r.t.Context(), alice, glass); err != nil {
				t.Fatal(err)
			}
		}
		_, err = r.engine.BreakGlass(r.t.Context(), alice, glass)
		refused(t, err, access.Exhausted, access.ReasonApprovalPending, "3 times within 24 hours")
		r.back.Store(int64(48 * time.Hour))
		_, err = r.engine.BreakGlass(r.t.Context(), alice, glass)
		refused(t, err, access.Exhausted, access.ReasonApprovalPending)
		r.back.Store(0)
		time.Sleep(24 * time.Hour)
		if _, err := r.engine.BreakGlass(r.t.Context(), alice, glass); err != nil {
			t.Errorf("a day later: %v", err)
		}
	})
}

func TestBreakGlassIsForItsModelAndNotForThoseThatGoAlong(t *testing.T) {
	bubble(t, func(r *rig) {
		ask := func() *approval.Ask {
			a := unload(func(t *access.Terms) { t.Mode = access.Ask })
			a.Model, a.Needs[0].Along = "simple", []string{"prod-simple"}
			return a
		}
		first, err := r.engine.BreakGlass(r.t.Context(), alice, want(func(w *approval.Want) { w.Model = "simple" }))
		if err != nil {
			t.Fatal(err)
		}
		refused(t, r.ended(r.admit(ask())).err, access.NeedsApproval, access.ReasonNeedsApproval)
		second, err := r.engine.BreakGlass(r.t.Context(), alice, want(func(w *approval.Want) { w.Model = "prod-simple" }))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.passed(r.admit(ask())); !got.BreakGlass || got.Grant != first.ID+", "+second.ID {
			t.Errorf("a call for which each glass was broken is let through by %+v", got)
		}
	})
}

func TestAClockThatIsSetBackForgetsNoBrokenGlass(t *testing.T) {
	bubble(t, func(r *rig) {
		began := time.Now()
		for _, back := range []time.Duration{0, 48 * time.Hour} {
			r.back.Store(int64(back))
			if _, err := r.engine.BreakGlass(r.t.Context(), alice, want()); err != nil {
				t.Fatal(err)
			}
		}
		items, err := r.store.List(r.t.Context(), store.Query{Kind: approval.KindBreakGlass})
		if err != nil || len(items) != 1 || items[0].Expires.Before(began.Add(24*time.Hour)) {
			t.Errorf("the count is %+v, %v: a replica whose clock is right deletes it", items, err)
		}
	})
}

func TestBreakGlassIsRefused(t *testing.T) {
	robot := person("alice")
	robot.Kind = access.Service
	for name, c := range map[string]struct {
		who    *access.Principal
		want   approval.Want
		reason string
	}{
		"to who may not":           {eve, want(), access.ReasonNoRole},
		"to a service":             {robot, want(), access.ReasonNotApprover},
		"without a reason":         {alice, want(func(w *approval.Want) { w.Reason = " \n" }), access.ReasonApprovalTerms},
		"for longer than may be":   {alice, want(func(w *approval.Want) { w.For = time.Hour + 1 }), access.ReasonApprovalTerms},
		"for less than no time":    {alice, want(func(w *approval.Want) { w.For = -1 }), access.ReasonApprovalTerms},
		"for a verb that approves": {alice, want(func(w *approval.Want) { w.Verb = access.Approve }), access.ReasonMalformed},
		"for shared memory":        {alice, want(func(w *approval.Want) { w.Verb = access.Shm }), access.ReasonMalformed},
		"of the log of one model":  {alice, want(func(w *approval.Want) { w.Verb = access.Log }), access.ReasonMalformed},
		"for no model":             {alice, want(func(w *approval.Want) { w.Model = "a/../b" }), access.ReasonModelName},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				_, err := r.engine.BreakGlass(r.t.Context(), c.who, c.want)
				if e, ok := access.AsError(err); !ok || e.Reason != c.reason {
					t.Errorf("got %v, want %s", err, c.reason)
				}
				if items, _ := r.engine.ListGrants(r.t.Context(), approval.Filter{}); len(items) != 0 {
					t.Error("a grant was made")
				}
			})
		})
	}
}

func TestBreakGlassAtOnceOnTwoReplicasCountsAll(t *testing.T) {
	bubble(t, func(r *rig) {
		other, _ := r.replica(r.store.Again())
		results := make(chan error, 10)
		for i := range 10 {
			e := []*approval.Engine{r.engine, other}[i%2]
			go func() {
				_, err := e.BreakGlass(r.t.Context(), alice, want())
				results <- err
			}()
		}
		synctest.Wait()
		given := 0
		for range 10 {
			if <-results == nil {
				given++
			}
		}
		if given != 3 {
			t.Errorf("%d were given, want 3", given)
		}
	})
}

func TestAccessEntriesThatAreWrong(t *testing.T) {
	right := approval.Entry{Models: []string{"*"}, Verbs: []string{"load"}, For: []string{"g"}, By: []string{"h"}, Max: time.Hour}
	for name, c := range map[string]struct {
		change  func(*approval.Entry)
		options approval.Options
		problem string
	}{
		"right":             {func(*approval.Entry) {}, approval.Options{}, ""},
		"no models":         {func(e *approval.Entry) { e.Models = nil }, approval.Options{}, "access[0].models: models is empty"},
		"an empty pattern":  {func(e *approval.Entry) { e.Models = []string{""} }, approval.Options{}, "access[0].models[0]: a pattern has 1 to"},
		"no verbs":          {func(e *approval.Entry) { e.Verbs = nil }, approval.Options{}, "access[0].verbs: verbs is empty"},
		"an unknown verb":   {func(e *approval.Entry) { e.Verbs = []string{"laod"} }, approval.Options{}, `did you mean "load"`},
		"a verb of people":  {func(e *approval.Entry) { e.Verbs = []string{"approve"} }, approval.Options{}, "access[0].verbs[0]: approve can't be asked for"},
		"break_glass":       {func(e *approval.Entry) { e.Verbs = []string{"break_glass"} }, approval.Options{}, "can't be asked for"},
		"shm on one model":  {func(e *approval.Entry) { e.Verbs, e.Models = []string{"shm"}, []string{"a"} }, approval.Options{}, "never about one model"},
		"nobody asks":       {func(e *approval.Entry) { e.For = nil }, approval.Options{}, "access[0].for: is missing"},
		"nobody approves":   {func(e *approval.Entry) { e.By = nil }, approval.Options{}, "access[0].by: is missing"},
		"no time":           {func(e *approval.Entry) { e.Max = 0 }, approval.Options{}, "access[0].max: must be a time"},
		"too many people":   {func(e *approval.Entry) { e.Count = 17 }, approval.Options{}, "access[0].count"},
		"no time to decide": {func(e *approval.Entry) { e.Within = time.Second }, approval.Options{}, "access[0].within"},
		"another word":      {func(e *approval.Entry) { e.Reason = "yes" }, approval.Options{}, "access[0].reason: must be required"},
		"no expression":     {func(e *approval.Entry) { e.Ticket = "(" }, approval.Options{}, "access[0].ticket"},
		"no source":         {func(*approval.Entry) {}, approval.Options{Sources: []string{"a", "b"}}, "access[0].for[0]: group \"g\" does not say"},
		"an unknown source": {func(e *approval.Entry) { e.For, e.By = []string{"a:g"}, []string{"c:h"} }, approval.Options{Sources: []string{"a", "b"}}, "access[0].by[0]: group \"c:h\" is of an unknown"},
		"no store":          {func(*approval.Entry) {}, approval.Options{Stateless: true}, "access: approvals have to be kept"},
	} {
		t.Run(name, func(t *testing.T) {
			e := right
			c.change(&e)
			p, problems := approval.Compile([]approval.File{{Name: "f", Document: approval.Document{Access: []approval.Entry{e}}}}, c.options)
			if c.problem == "" {
				if len(problems) > 0 || p.Empty() {
					t.Errorf("got %v", problems)
				}
				return
			}
			if p != nil || len(problems) == 0 || problems[0].File != "f" || !strings.Contains(problems[0].Path+": "+problems[0].Message, c.problem) {
				t.Errorf("got %v, want %q", problems, c.problem)
			}
		})
	}
}

func TestLimitsThatAreWrong(t *testing.T) {
	var right approval.Config
	right.SetDefaults()
	if problems := right.Validate(); len(problems) > 0 {
		t.Errorf("the defaults: %v", problems)
	}
	for path, change := range map[string]func(*approval.Config){
		"held_per_principal":        func(c *approval.Config) { c.HeldPerPrincipal = -1 },
		"held":                      func(c *approval.Config) { c.Held = -1 },
		"pending_per_principal":     func(c *approval.Config) { c.PendingPerPrincipal = -1 },
		"keep":                      func(c *approval.Config) { c.Keep = time.Hour },
		"break_glass.per_principal": func(c *approval.Config) { c.BreakGlass.PerPrincipal = -1 },
		"break_glass.max":           func(c *approval.Config) { c.BreakGlass.Max = 48 * time.Hour },
	} {
		c := right
		change(&c)
		if problems := c.Validate(); len(problems) != 1 || problems[0].Path != path {
			t.Errorf("%s: %v", path, problems)
		}
	}
}
