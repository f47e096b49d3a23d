package policy_test

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy"
)

func TestDecideWithModel(t *testing.T) {
	p := compile(t, roles(map[string][]policy.Entry{
		"viewer":    {allow(on("*"), "infer", "describe", "list")},
		"admin":     {allow(on("*"), "*")},
		"loader":    {allow(on("*"), "load")},
		"pusher":    {allow(on("*"), "load_override")},
		"no-load":   {deny(on("prod-*"), "load")},
		"no-infer":  {deny(on("secret"), "infer")},
		"mixed":     {deny(on("*-private"), "*"), allow(on("team-*"), "*")},
		"patterns":  {allow(on("a*b*c", "*mid*", "*end", "x*", "exact"), "infer")},
		"literal":   {allow(on("a?c", "[ab]", `\*`, "a.c"), "infer")},
		"case":      {allow(on("Simple"), "infer")},
		"suspended": {deny(on("*"), "*")},
	}))
	cases := []struct {
		name   string
		groups string
		verb   access.Verb
		model  string
		reason string // "" means allowed
	}{
		{"granted verb", "viewer", access.Infer, "simple", ""},
		{"verb not granted", "viewer", access.Load, "simple", access.ReasonNoRole},
		{"nobody's group", "strangers", access.Infer, "simple", access.ReasonNoRole},
		{"no group", "", access.Infer, "simple", access.ReasonNoRole},
		{"star holds load_override", "admin", access.LoadOverride, "simple", ""},
		{"star holds trace", "admin", access.Trace, "simple", ""},
		{"star holds no approve", "admin", access.Approve, "simple", access.ReasonNoRole},
		{"load is not load_override", "loader", access.LoadOverride, "simple", access.ReasonNoRole},
		{"load_override is not load", "pusher", access.Load, "simple", access.ReasonNoRole},
		{"deny wins over another role", "admin,no-load", access.Load, "prod-x", access.ReasonDeniedByRole},
		{"deny of load is deny of load_override", "admin,no-load", access.LoadOverride, "prod-x", access.ReasonDeniedByRole},
		{"deny of load is not deny of unload", "admin,no-load", access.Unload, "prod-x", ""},
		{"deny elsewhere", "admin,no-load", access.Load, "dev-x", ""},
		{"deny in the same role", "mixed", access.Infer, "team-private", access.ReasonDeniedByRole},
		{"allow in the same role", "mixed", access.Infer, "team-public", ""},
		{"deny without any allow", "no-infer", access.Infer, "secret", access.ReasonDeniedByRole},
		{"deny of everything", "admin,suspended", access.Infer, "simple", access.ReasonDeniedByRole},
		{"three parts", "patterns", access.Infer, "a--b--c", ""},
		{"three parts, stars empty", "patterns", access.Infer, "abc", ""},
		{"three parts, one missing", "patterns", access.Infer, "a--c", access.ReasonNoRole},
		{"middle", "patterns", access.Infer, "--mid--", ""},
		{"middle alone", "patterns", access.Infer, "mid", ""},
		{"end", "patterns", access.Infer, "--end", ""},
		{"end not at the end", "patterns", access.Infer, "--end-", access.ReasonNoRole},
		{"beginning", "patterns", access.Infer, "x", ""},
		{"beginning not at the beginning", "patterns", access.Infer, "yx", access.ReasonNoRole},
		{"exact is whole", "patterns", access.Infer, "exact-not", access.ReasonNoRole},
		{"star takes newlines", "patterns", access.Infer, "x\n\ny", ""},
		{"star takes what is not UTF-8", "patterns", access.Infer, "x\xff\xfe\x00", ""},
		{"question mark is itself", "literal", access.Infer, "abc", access.ReasonNoRole},
		{"question mark matches itself", "literal", access.Infer, "a?c", ""},
		{"brackets are themselves", "literal", access.Infer, "a", access.ReasonNoRole},
		{"backslash is itself, star is a star", "literal", access.Infer, `\anything`, ""},
		{"dot is itself", "literal", access.Infer, "axc", access.ReasonNoRole},
		{"case counts", "case", access.Infer, "simple", access.ReasonNoRole},
		{"same case", "case", access.Infer, "Simple", ""},
		{"a probe needs no role", "", access.None, "", ""},
		{"an unknown verb", "admin", access.Verb(200), "simple", access.ReasonNoRole},
		{"a verb beyond the set", "admin", access.Verb(access.NumVerbs), "simple", access.ReasonNoRole},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			checkDecision(t, p.Decide(member(strings.Split(c.groups, ",")...), c.verb, c.model), c.reason)
		})
	}
}

func TestDecideWithoutModel(t *testing.T) {
	p := compile(t, roles(map[string][]policy.Entry{
		"everything":  {allow(on("*"), "*")},
		"stars":       {allow(on("**"), "log")},
		"team":        {allow(on("team-*"), "*")},
		"lister":      {allow(on("simple"), "list")},
		"regions":     {allow(on("*"), "shm")},
		"admin":       {allow(on("*"), "admin", "approve")},
		"no-prod":     {deny(on("prod-*"), "*")},
		"no-list":     {deny(on("prod-*"), "list")},
		"no-list-all": {deny(on("*"), "list")},
		"no-shm":      {deny(on("*"), "shm")},
		"no-log":      {deny(on("***"), "log")},
	}))
	cases := []struct {
		name   string
		groups string
		verb   access.Verb
		model  string
		reason string
	}{
		{"log by star", "everything", access.Log, "", ""},
		{"log by several stars, which are one", "stars", access.Log, "", ""},
		{"log not by another pattern", "team", access.Log, "", access.ReasonNoRole},
		{"log not by another pattern, whatever model is named", "team", access.Log, "team-a", access.ReasonNoRole},
		{"global trace by star", "everything", access.Trace, "", ""},
		{"global trace not by another pattern", "team", access.Trace, "", access.ReasonNoRole},
		{"global trace changes what is denied", "everything,no-prod", access.Trace, "", access.ReasonDeniedByRole},
		{"log is not about models", "everything,no-prod", access.Log, "", ""},
		{"log denied", "everything,no-log", access.Log, "", access.ReasonDeniedByRole},
		{"shm is not in star", "everything", access.Shm, "", access.ReasonNoRole},
		{"shm by name", "regions", access.Shm, "", ""},
		{"shm by name, whatever model is named", "regions", access.Shm, "prod-x", ""},
		{"shm denied", "regions,no-shm", access.Shm, "", access.ReasonDeniedByRole},
		{"shm is not about models", "regions,no-prod", access.Shm, "", ""},
		{"list by star", "everything", access.List, "", ""},
		{"list by any pattern", "lister", access.List, "", ""},
		{"list with nothing granted", "regions", access.List, "", access.ReasonNoRole},
		{"list where some models are denied", "everything,no-list", access.List, "", ""},
		{"list denied", "everything,no-list-all", access.List, "", access.ReasonDeniedByRole},
		{"admin", "admin", access.Admin, "", ""},
		{"approve", "admin", access.Approve, "", ""},
		{"infer of no model", "team", access.Infer, "", access.ReasonNoRole},
		{"infer of no model by star", "everything", access.Infer, "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			checkDecision(t, p.Decide(member(strings.Split(c.groups, ",")...), c.verb, c.model), c.reason)
		})
	}
}

func TestVisible(t *testing.T) {
	p := compile(t, roles(map[string][]policy.Entry{
		"infer-one": {allow(on("simple"), "infer")},
		"everyone":  {allow(on("*"), "*")},
		"regions":   {allow(on("*"), "shm", "log", "log_read", "admin")},
		"no-list":   {deny(on("secret-*"), "list")},
		"no-infer":  {deny(on("secret-*"), "infer")},
		"nothing":   {deny(on("secret-*"), "*")},
		"reviewer":  {allow(on("prod-*"), "approve")},
		"no-simple": {deny(on("simple"), "infer")},
	}))
	cases := []struct {
		name, groups, model string
		want                bool
	}{
		{"one verb is enough", "infer-one", "simple", true},
		{"other model", "infer-one", "other", false},
		{"star", "everyone", "anything", true},
		{"verbs about no model show none", "regions", "simple", false},
		{"deny of list hides", "everyone,no-list", "secret-x", false},
		{"deny of list hides there only", "everyone,no-list", "x", true},
		{"deny of infer leaves other verbs", "everyone,no-infer", "secret-x", true},
		{"deny of the only verb hides", "infer-one,no-simple", "simple", false},
		{"deny of every verb hides", "everyone,nothing", "secret-x", false},
		{"a verb of approvers shows", "reviewer", "prod-x", true},
		{"a stranger sees nothing", "strangers", "simple", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := p.Visible(member(strings.Split(c.groups, ",")...), c.model); got != c.want {
				t.Errorf("visible: got %v, want %v", got, c.want)
			}
		})
	}
	if p.Visible(nil, "simple") {
		t.Error("nobody sees a model")
	}
}

func TestSubjects(t *testing.T) {
	p := compile(t, policy.Document{
		Roles: map[string][]policy.Entry{"viewer": {allow(on("*"), "infer")}},
		Bindings: []policy.Binding{
			{Role: "viewer", Subjects: []string{"https://issuer#alice", "https://issuer#odd#name"}},
		},
	})
	cases := []struct {
		name, issuer, subject string
		reason                string
	}{
		{"bound", "https://issuer", "alice", ""},
		{"another subject", "https://issuer", "bob", access.ReasonNoRole},
		{"another issuer", "https://evil", "alice", access.ReasonNoRole},
		{"a subject with #", "https://issuer", "odd#name", ""},
		{"an issuer with # gets no one's role", "https://issuer#odd", "name", access.ReasonNoRole},
		{"no issuer", "", "https://issuer#alice", access.ReasonNoRole},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			who := &access.Principal{Issuer: c.issuer, Subject: c.subject, Name: "alice"}
			checkDecision(t, p.Decide(who, access.Infer, "simple"), c.reason)
		})
	}
}

func TestRules(t *testing.T) {
	p := compile(t, roles(map[string][]policy.Entry{
		"viewer":  {allow(on("*"), "infer")},
		"no-prod": {deny(on("prod-*"), "infer")},
	}))
	cases := []struct {
		name, model string
		verb        access.Verb
		want        string
	}{
		{"allowed", "simple", access.Infer, "role viewer"},
		{"denied", "prod-x", access.Infer, "deny in role no-prod"},
		{"not granted", "simple", access.Load, "no role allows it"},
		{"probe", "", access.None, "needs no role"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := p.Decide(member("no-prod", "viewer"), c.verb, c.model); d.Rule != c.want {
				t.Errorf("rule: got %q, want %q", d.Rule, c.want)
			}
		})
	}
}

func TestHugeNames(t *testing.T) {
	p := compile(t, roles(map[string][]policy.Entry{
		"r": {allow(on("a*a*a*a*a*a*b", "*aa*aa*aa*c*", "*a*a*a*b", "*ab*"), "infer")},
	}))
	long := strings.Repeat("a", 1<<20)
	checkDecision(t, p.Decide(member("r"), access.Infer, long), access.ReasonNoRole)
	checkDecision(t, p.Decide(member("r"), access.Infer, long+"b"), "")
}

func checkDecision(t *testing.T, d access.Decision, reason string) {
	t.Helper()
	if d.Reason != reason || d.Allowed != (reason == "") {
		t.Errorf("got %+v, want reason %q", d, reason)
	}
	if d.Rule == "" {
		t.Error("the decision names no rule")
	}
}
