package guard_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy/guard"
)

// decide asks guards about a call on model "m" that says nothing but its verb.
func decide(p *guard.Policy, verb access.Verb, change func(*guard.Request)) guard.Verdict {
	r := &guard.Request{
		Verb: verb, Model: "m", Client: netip.MustParseAddr("10.1.2.3"), Now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), // a Monday
		Principal: &access.Principal{Issuer: "https://issuer", Subject: "bob", Kind: access.User, Groups: []string{"dev", "ml"}},
		Metadata:  map[string][]string{"x-team": {"secret"}},
	}
	if change != nil {
		change(r)
	}
	return p.For(verb, r.Model).Decide(r)
}

func TestWhoAndWhatAGuardIsAbout(t *testing.T) {
	for name, c := range map[string]struct {
		text   string // of the guard
		verb   access.Verb
		change func(*guard.Request)
		denied bool
	}{
		"its verb":                   {`verbs: [infer]`, access.Infer, nil, true},
		"another verb":               {`verbs: [infer]`, access.Load, nil, false},
		"every verb on models":       {`verbs: ["*"]`, access.TraceRead, nil, true},
		"every verb but shm":         {`verbs: ["*"]`, access.Shm, nil, false},
		"a load with more in it":     {`verbs: [load]`, access.LoadOverride, nil, true},
		"load alone, by a condition": {`verbs: [load], when: "verb == 'load'"`, access.LoadOverride, nil, false},
		"its model":                  {`verbs: [infer], models: [x, "m*"]`, access.Infer, nil, true},
		"another model":              {`verbs: [infer], models: [x, M]`, access.Infer, nil, false},

		"a call on all models":           {`verbs: [trace], models: ["prod-*"]`, access.Trace, onAll, true},
		"a list is cut, not of a model":  {`verbs: [list], models: ["prod-*"]`, access.List, onAll, false},
		"a list":                         {`verbs: [list]`, access.List, onAll, true},
		"settings of the log":            {`verbs: [log]`, access.Log, onAll, true},
		"a verb that is never of models": {`verbs: [shm]`, access.Shm, nil, true},

		"a group":                {`verbs: [infer], groups: [ml]`, access.Infer, nil, true},
		"another group":          {`verbs: [infer], groups: [ops]`, access.Infer, nil, false},
		"a subject":              {`verbs: [infer], groups: [ops], subjects: ["https://issuer#bob"]`, access.Infer, nil, true},
		"another's subject":      {`verbs: [infer], subjects: ["https://other#bob"]`, access.Infer, nil, false},
		"an exception":           {`verbs: [infer], except: [dev]`, access.Infer, nil, false},
		"an exception wins":      {`verbs: [infer], groups: [ml], except_subjects: ["https://issuer#bob"]`, access.Infer, nil, false},
		"not excepted":           {`verbs: [infer], except: [ops]`, access.Infer, nil, true},
		"people":                 {`verbs: [infer], kinds: [user]`, access.Infer, nil, true},
		"programs":               {`verbs: [infer], kinds: [service]`, access.Infer, nil, false},
		"a kind and a group":     {`verbs: [infer], kinds: [service], groups: [ml]`, access.Infer, nil, false},
		"nobody is not excepted": {`verbs: [infer], except: [dev]`, access.Infer, func(r *guard.Request) { r.Principal = nil }, true},

		"the caller":           {`verbs: [infer], when: "principal.subject == 'bob' && principal.issuer == 'https://issuer' && principal.kind == 'user' && 'ml' in principal.groups"`, access.Infer, nil, true},
		"the network":          {`verbs: [infer], when: "cidr(client.address, '10.0.0.0/8')"`, access.Infer, nil, true},
		"another network":      {`verbs: [infer], when: "!cidr(client.address, '10.0.0.0/8')"`, access.Infer, nil, false},
		"a mapped address":     {`verbs: [infer], when: "cidr(client.address, '10.0.0.0/8')"`, access.Infer, func(r *guard.Request) { r.Client = netip.MustParseAddr("::ffff:10.1.2.3") }, true},
		"no address":           {`verbs: [infer], when: "cidr(client.address, '10.0.0.0/8')"`, access.Infer, func(r *guard.Request) { r.Client = netip.Addr{} }, true},
		"metadata":             {`verbs: [infer], when: "'x-team' in metadata"`, access.Infer, nil, true},
		"not its values":       {`verbs: [infer], when: "'secret' in metadata"`, access.Infer, nil, false},
		"the clock":            {`verbs: [infer], when: "now.getHours() == 10 && now.getHours('Europe/Berlin') == 11"`, access.Infer, nil, true},
		"the model":            {`verbs: [infer], when: "model == 'm' && version == ''"`, access.Infer, nil, true},
		"within hours":         {`verbs: [infer], hours: [{days: [mon-fri], from: "09:00", to: "17:00"}]`, access.Infer, nil, true},
		"the end is not in it": {`verbs: [infer], hours: [{from: "09:00", to: "10:00"}]`, access.Infer, nil, false},
		"of another day":       {`verbs: [infer], hours: [{days: [sat, sun]}]`, access.Infer, nil, false},
		"in another zone":      {`verbs: [infer], hours: [{from: "11:00", to: "11:30", tz: Europe/Berlin}]`, access.Infer, nil, true},
		"one of two":           {`verbs: [infer], hours: [{days: [sun]}, {days: [mon]}]`, access.Infer, nil, true},
		"over midnight":        {`verbs: [infer], hours: [{days: [fri-sun], from: "22:00", to: "10:30"}]`, access.Infer, nil, true},
		"over midnight, over":  {`verbs: [infer], hours: [{days: [mon], from: "22:00", to: "10:30"}]`, access.Infer, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(compile(t, "guards: [{name: g, deny: no, "+c.text+"}]"), c.verb, c.change)
			if (v.Refused != nil) != c.denied {
				t.Errorf("got %v, want denied: %v", v.Refused, c.denied)
			}
		})
	}
}

func onAll(r *guard.Request) { r.Model = "" }

func TestPrecedence(t *testing.T) {
	const (
		deny    = `{name: deny, verbs: [infer], deny: no}`
		fails   = `{name: fails, verbs: [infer], when: "parameters.x == 1", deny: no}`
		approve = `{name: approve, verbs: [infer], approve: {by: [a], count: 2, within: 1m, grant: 2h, reason: required, ticket: "T-[0-9]+", mode: ask, scope: model, uses: 3}}`
		second  = `{name: second, verbs: [infer], approve: {by: [b]}}`
		sees    = `{name: sees, verbs: [infer], observe: true, deny: no}`
		waits   = `{name: waits, verbs: [infer], observe: true, approve: {by: [a]}}`
		errs    = `{name: errs, verbs: [infer], observe: true, when: "parameters.x == 1", deny: no}`
		silent  = `{name: silent, verbs: [infer], observe: true, when: "size > 100", deny: no}`
	)
	for name, c := range map[string]struct {
		guards            []string
		reason            string
		needs, wouldHave  string
		guard, oucomesAre string
	}{
		"nothing":                   {nil, "", "", "", "", ""},
		"deny wins in any order":    {[]string{approve, deny}, access.ReasonGuard, "", "", "deny", "deny denied"},
		"an error denies":           {[]string{fails}, access.ReasonGuardFailed, "", "", "fails", "fails failed"},
		"all approvals are asked":   {[]string{approve, second}, "", "approve second", "", "", "approve held, second held"},
		"observers change nothing":  {[]string{sees, waits, errs, silent}, "", "", "sees waits errs", "", "sees would_deny, waits would_hold, errs would_fail"},
		"of what is denied nothing": {[]string{sees, deny}, access.ReasonGuard, "", "", "deny", "deny denied"},
		"approved and observed":     {[]string{sees, second}, "", "second", "sees", "", "second held, sees would_deny"},
	} {
		t.Run(name, func(t *testing.T) {
			p := compile(t, "guards: ["+strings.Join(c.guards, ", ")+"]")
			v := decide(p, access.Infer, func(r *guard.Request) { r.Control = nil })
			reason := ""
			if v.Refused != nil {
				reason = v.Refused.Reason
			}
			var needs, outcomes []string
			for _, n := range v.Needs {
				needs = append(needs, n.Guard)
			}
			for _, o := range v.Outcomes {
				outcomes = append(outcomes, o.Guard+" "+o.Did)
			}
			got := []string{reason, strings.Join(needs, " "), strings.Join(v.WouldHave, " "), v.Guard, strings.Join(outcomes, ", ")}
			if want := []string{c.reason, c.needs, c.wouldHave, c.guard, c.oucomesAre}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	n := decide(compile(t, "guards: ["+approve+"]"), access.Infer, nil).Needs[0].Terms
	if n.Count != 2 || n.Within != time.Minute || n.Grant != 2*time.Hour || !n.Reason || n.Ticket != "T-[0-9]+" || n.Mode != access.Ask || n.Scope != access.ScopeModel || n.Uses != 3 || n.By[0] != "a" {
		t.Errorf("terms are %+v", n)
	}
	n = decide(compile(t, "guards: ["+second+"]"), access.Infer, nil).Needs[0].Terms
	if n.Count != 1 || n.Within != 15*time.Minute || n.Grant != time.Hour || n.Reason || n.Ticket != "" || n.Mode != access.Wait || n.Scope != access.ScopeCall || n.Uses != 0 {
		t.Errorf("defaults are %+v", n)
	}
}

func TestARefusalSaysWhatToDo(t *testing.T) {
	p := compile(t, `guards: [{name: g, verbs: [infer], deny: "come back tomorrow"}]`)
	got := decide(p, access.Infer, nil).Refused.Message
	want := `guard g denies verb infer on model "m" to principal "https://issuer#bob": come back tomorrow; send a request that it allows, or ask an administrator of this gateway`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestADefinitionIsAllThatIsWritten: whatever is changed in a guard, or in the file
// that it names, ends the grants that it led to; another guard's words do not.
func TestADefinitionIsAllThatIsWritten(t *testing.T) {
	definition := func(text string, read func(string) ([]byte, error)) [32]byte {
		t.Helper()
		d := document(t, "guards: [{"+text+"}, {name: other, verbs: [load], deny: \""+text[:12]+"\"}]")
		p, problems := guard.Compile([]guard.File{{Document: d}}, guard.Options{ReadFile: read})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		d1, ok := p.Definition("g")
		if !ok {
			t.Fatal("no definition")
		}
		return d1
	}
	const base = `name: g, verbs: [infer], approve: {by: [a]}`
	first := definition(base, files)
	if definition(base, files) != first {
		t.Error("the same guard has two definitions")
	}
	if definition(base+`, models: ["*"]`, files) != first {
		t.Error("a default that is written out is another definition")
	}
	for _, change := range []string{
		`name: g, verbs: [infer, load], approve: {by: [a]}`, `name: g, verbs: [infer], approve: {by: [a, b]}`, base + `, models: [m]`, base + `, when: "size > 1"`,
		base + `, groups: [x]`, base + `, except: [x]`, base + `, kinds: [user]`, base + `, hours: [{}]`, base + `, deny_list: {max_tokens: 5}`,
		`name: g, verbs: [infer], approve: {by: [a], uses: 1}`, `name: g, verbs: [infer], approve: {by: [a], scope: model}`,
	} {
		if definition(change, files) == first {
			t.Errorf("%s is the same definition", change)
		}
	}
	named := base + `, deny_list: {text: {file: words}}`
	other := func(string) ([]byte, error) { return []byte("other\n"), nil }
	if definition(named, files) == definition(named, other) {
		t.Error("another file is the same definition")
	}
}

func TestModelsThatGoAlong(t *testing.T) {
	p := compile(t, `guards: [
		{name: prod, verbs: [unload], models: ["prod-*"], approve: {by: [a]}},
		{name: never, verbs: [unload], models: [holy], deny: "it stays"},
		{name: seen, verbs: [unload], models: [looked-at], observe: true, deny: x},
		{name: named, verbs: [unload], when: "model == 'named'", deny: "by its name"}]`)
	ask := func(model string, along ...string) guard.Verdict {
		var all []guard.Along
		for _, m := range along {
			all = append(all, guard.Along{Model: m, Set: p.For(access.Unload, m)})
		}
		return p.For(access.Unload, model).DecideAll(&guard.Request{Verb: access.Unload, Model: model}, all)
	}
	if v := ask("m", "n"); v.Refused != nil || v.Needs != nil {
		t.Errorf("nothing is about these: %+v", v)
	}
	if v := ask("m", "n", "holy"); v.Refused == nil || !strings.Contains(v.Refused.Message, `model "holy"`) {
		t.Errorf("a dependent that stays is unloaded: %+v", v)
	}
	if v := ask("m", "named"); v.Refused == nil {
		t.Error("a condition on the model's name sees the call's own alone")
	}
	if v := ask("m", "looked-at"); v.Refused != nil || !slices.Equal(v.WouldHave, []string{"seen"}) {
		t.Errorf("observed: %+v", v)
	}
	own, with, other := ask("prod-a").Needs, ask("prod-a", "prod-b").Needs, ask("m", "prod-b").Needs
	if len(own) != 1 || len(with) != 1 || len(other) != 1 {
		t.Fatalf("needs are %v, %v, %v", own, with, other)
	}
	if own[0].Along != nil || !slices.Equal(with[0].Along, []string{"prod-b"}) || !slices.Equal(other[0].Along, []string{"prod-b"}) {
		t.Errorf("what goes along is %v, %v, %v", own[0].Along, with[0].Along, other[0].Along)
	}
}

func TestAChosenModelIsGuarded(t *testing.T) {
	for name, c := range map[string]struct {
		guards, named, chosen string
		may                   bool
	}{
		"no guard":                     {`{name: g, verbs: [load], deny: x}`, "base", "adapter", true},
		"a guard about the chosen":     {`{name: g, verbs: [infer], models: [adapter], deny: x}`, "base", "adapter", false},
		"a guard about both":           {`{name: g, verbs: [infer], models: [base, adapter], when: "size > 9", deny: x}`, "base", "adapter", true},
		"both, but which is not known": {`{name: g, verbs: [infer], models: [base, adapter], when: "size > 9", deny: x}`, "", "adapter", false},
		"a guard about all":            {`{name: g, verbs: [infer], when: "size > 9", deny: x}`, "", "adapter", true},
		"one that looks at the name":   {`{name: g, verbs: [infer], when: "model == 'adapter'", deny: x}`, "base", "adapter", false},
		"one that only observes":       {`{name: g, verbs: [infer], models: [adapter], observe: true, deny: x}`, "base", "adapter", true},
		"one about others":             {`{name: g, verbs: [infer], models: [adapter], groups: [ops], deny: x}`, "base", "adapter", true},
		"approval":                     {`{name: g, verbs: [infer], models: ["ad*"], approve: {by: [a]}}`, "base", "adapter", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := compile(t, "guards: ["+c.guards+"]")
			if got := p.MayChoose(&access.Principal{Subject: "bob"}, access.Infer, c.named, c.chosen); got != c.may {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestAnEngineWithoutAPolicy is one of a configuration without guards.
func TestAnEngineWithoutAPolicy(t *testing.T) {
	var e guard.Engine
	if e.For(access.Infer, "m") != nil || e.Policy().Names() != nil || !e.Policy().MayChoose(nil, access.Infer, "", "m") {
		t.Error("an engine without a policy has guards")
	}
	e.Replace(compile(t, `guards: [{name: g, verbs: [infer], deny: x}]`))
	if got := e.For(access.Infer, "m").Guards(nil); !slices.Equal(got, []string{"g"}) || e.For(access.Load, "m").Guards(nil) != nil {
		t.Errorf("guards are %v", got)
	}
}

// TestModelsAreForgotten: names are the callers' to choose, so that what is kept of
// them is bounded, and the answer is the same when it is found again.
func TestModelsAreForgotten(t *testing.T) {
	p := compile(t, `guards: [{name: g, verbs: [infer], models: ["a*"], deny: x}]`)
	for i := range 5000 {
		name := string(rune('a'+i%2)) + fmt.Sprint(i)
		if about := p.For(access.Infer, name) != nil; about != (i%2 == 0) {
			t.Fatalf("%q: %v", name, about)
		}
	}
	if got := p.Names(); !slices.Equal(got, []string{"g"}) {
		t.Errorf("names are %v", got)
	}
	if _, asks := p.Definition("g"); asks {
		t.Error("a guard that denies asks for approval")
	}
	if n := testing.AllocsPerRun(100, func() { p.For(access.Infer, "unguarded"); p.For(access.Load, "a") }); n != 0 {
		t.Errorf("an unguarded model costs %v allocations", n)
	}
}
