package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/policy"
)

// one is a document with one role, "r", of one entry, bound to one group.
func one(change func(d *policy.Document, e *policy.Entry, b *policy.Binding)) policy.Document {
	e := allow(on("*"), "infer")
	b := policy.Binding{Role: "r", Groups: []string{"g"}}
	d := policy.Document{}
	change(&d, &e, &b)
	d.Roles = map[string][]policy.Entry{"r": {e}}
	d.Bindings = []policy.Binding{b}
	return d
}

func TestProblems(t *testing.T) {
	entry := func(change func(e *policy.Entry)) policy.Document {
		return one(func(_ *policy.Document, e *policy.Entry, _ *policy.Binding) { change(e) })
	}
	binding := func(change func(b *policy.Binding)) policy.Document {
		return one(func(_ *policy.Document, _ *policy.Entry, b *policy.Binding) { change(b) })
	}
	cases := []struct {
		name    string
		d       policy.Document
		sources []string
		want    string // path and the beginning of the message; "" for none
	}{
		{"nothing wrong", entry(func(*policy.Entry) {}), nil, ""},
		{"unknown verb", entry(func(e *policy.Entry) { e.Verbs = []string{"infer", "list", "infr"} }), nil, `roles.r[0].verbs[2]: unknown verb "infr" (did you mean "infer"?)`},
		{"verb in capitals", entry(func(e *policy.Entry) { e.Verbs = []string{"Load"} }), nil, `roles.r[0].verbs[0]: unknown verb "Load" (did you mean "load"?)`},
		{"unknown verb, nothing near", entry(func(e *policy.Entry) { e.Verbs = []string{"frobnicate"} }), nil, `roles.r[0].verbs[0]: unknown verb "frobnicate"`},
		{"verb none", entry(func(e *policy.Entry) { e.Verbs = []string{"none"} }), nil, "roles.r[0].verbs[0]: none is not a verb that a role can hold"},
		{"no verbs", entry(func(e *policy.Entry) { e.Verbs = nil }), nil, "roles.r[0].verbs: verbs is empty"},
		{"no models", entry(func(e *policy.Entry) { e.Models = nil }), nil, "roles.r[0].models: models is empty"},
		{"empty pattern", entry(func(e *policy.Entry) { e.Models = []string{"a", ""} }), nil, "roles.r[0].models[1]: an empty pattern matches no model"},
		{"huge pattern", entry(func(e *policy.Entry) { e.Models = []string{strings.Repeat("a", 1025)} }), nil, "roles.r[0].models[0]: a pattern has at most 1024 bytes"},
		{"shm on some models", entry(func(e *policy.Entry) { e.Models, e.Verbs = on("prod-*"), []string{"shm"} }), nil, "roles.r[0].verbs[0]: shm is never about one model"},
		{"deny of log on some models", entry(func(e *policy.Entry) { e.Models, e.Verbs, e.Deny = on("prod-*"), []string{"log"}, true }), nil, "roles.r[0].verbs[0]: log is never about one model"},
		{"shm on star among others", entry(func(e *policy.Entry) { e.Models, e.Verbs = on("prod-*", "*"), []string{"shm"} }), nil, ""},
		{"binding without role", binding(func(b *policy.Binding) { b.Role = "" }), nil, "bindings[0].role: role is missing"},
		{"binding of unknown role", binding(func(b *policy.Binding) { b.Role = "q" }), nil, `bindings[0].role: unknown role "q" (did you mean "r"?)`},
		{"binding to nobody", binding(func(b *policy.Binding) { b.Groups = nil }), nil, "bindings[0]: binding has neither groups nor subjects"},
		{"empty group", binding(func(b *policy.Binding) { b.Groups = []string{"a", ""} }), nil, "bindings[0].groups[1]: an empty group"},
		{"subject without issuer", binding(func(b *policy.Binding) { b.Subjects = []string{"alice"} }), nil, `bindings[0].subjects[0]: subject "alice" is not of the form issuer#subject`},
		{"subject with empty issuer", binding(func(b *policy.Binding) { b.Subjects = []string{"#alice"} }), nil, `bindings[0].subjects[0]: subject "#alice" is not of the form`},
		{"subject with empty name", binding(func(b *policy.Binding) { b.Subjects = []string{"https://i#"} }), nil, `bindings[0].subjects[0]: subject "https://i#" is not of the form`},
		{"bare group, one source", entry(func(*policy.Entry) {}), []string{"corp"}, ""},
		{"bare group, two sources", entry(func(*policy.Entry) {}), []string{"corp", "ci"}, `bindings[0].groups[0]: group "g" does not say which identity source it is of; with several, write source:group, as in "corp:g"`},
		{"group of a known source", binding(func(b *policy.Binding) { b.Groups = []string{"ci:g"} }), []string{"corp", "ci"}, ""},
		{"group of an unknown source", binding(func(b *policy.Binding) { b.Groups = []string{"crop:g"} }), []string{"corp", "github"}, `bindings[0].groups[0]: group "crop:g" is of an unknown identity source "crop" (did you mean "corp"?)`},
		{"source without group", binding(func(b *policy.Binding) { b.Groups = []string{"corp:"} }), []string{"corp", "ci"}, `bindings[0].groups[0]: group "corp:" does not say`},
		{"source named where there is one", binding(func(b *policy.Binding) { b.Groups = []string{"corp:g"} }), []string{"corp"}, `bindings[0].groups[0]: there is one identity source, so groups are written without it: write "g"`},
		{"group with a colon, one source", binding(func(b *policy.Binding) { b.Groups = []string{"team:g"} }), []string{"corp"}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, problems := policy.Compile([]policy.File{{Name: "p.yaml", Document: c.d}}, policy.Options{Sources: c.sources})
			switch {
			case c.want == "" && len(problems) > 0:
				t.Fatalf("got %v, want no problem", problems)
			case c.want == "" && p == nil:
				t.Fatal("got neither policy nor problem")
			case c.want == "":
				return
			case len(problems) != 1:
				t.Fatalf("got %v, want one problem", problems)
			case p != nil:
				t.Error("got a policy beside the problem")
			}
			if got := problems[0].String(); !strings.HasPrefix(got, "p.yaml: "+c.want) {
				t.Errorf("got  %s\nwant p.yaml: %s…", got, c.want)
			}
		})
	}
}

func TestProblemsOfRoles(t *testing.T) {
	entries := []policy.Entry{allow(on("*"), "infer")}
	cases := []struct{ name, role, want string }{
		{"no name", "", "a role needs a name"},
		{"blank", "a b", "a role's name holds printable characters only"},
		{"control byte", "a\nb", "a role's name holds printable characters only"},
		{"not UTF-8", "a\xff", "a role's name holds printable characters only"},
		{"too long", strings.Repeat("a", 129), "a role's name has at most 128 bytes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, problems := policy.Compile([]policy.File{{Document: policy.Document{Roles: map[string][]policy.Entry{c.role: entries}}}}, policy.Options{})
			if len(problems) != 1 || !strings.HasPrefix(problems[0].Message, c.want) || problems[0].Path != "roles."+c.role {
				t.Errorf("got %v, want %q", problems, c.want)
			}
		})
	}
	_, problems := policy.Compile([]policy.File{{Document: policy.Document{Roles: map[string][]policy.Entry{"r": nil}}}}, policy.Options{})
	if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), "roles.r: role has no entries") {
		t.Errorf("got %v", problems)
	}
}

func TestSeveralFiles(t *testing.T) {
	viewer := map[string][]policy.Entry{"viewer": {allow(on("*"), "infer")}}
	bound := policy.Document{Bindings: []policy.Binding{{Role: "viewer", Groups: []string{"g"}}}}

	p, problems := policy.Compile([]policy.File{{Name: "1.yaml", Document: bound}, {Name: "2.yaml", Document: policy.Document{Roles: viewer}}}, policy.Options{})
	if len(problems) > 0 {
		t.Fatalf("a binding may name a role of a later file: %v", problems)
	}
	if p.WhoCan(1, "m").Groups[0] != "g" {
		t.Error("the binding has no effect")
	}

	_, problems = policy.Compile([]policy.File{{Name: "1.yaml", Document: policy.Document{Roles: viewer}}, {Name: "2.yaml", Document: policy.Document{Roles: viewer}}}, policy.Options{})
	if len(problems) != 1 || problems[0].String() != `2.yaml: roles.viewer: role "viewer" is already defined in 1.yaml` {
		t.Errorf("got %v", problems)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	bad := policy.Document{
		Roles: map[string][]policy.Entry{
			"a": {{Verbs: []string{"x", "infer"}}, {Models: on("*")}},
			"b": {},
		},
		Bindings: []policy.Binding{{Role: "c"}, {}},
	}
	_, problems := policy.Compile([]policy.File{{Name: "1", Document: bad}, {Name: "2", Document: policy.Document{Bindings: []policy.Binding{{Role: "a"}}}}}, policy.Options{})
	var got []string
	for _, p := range problems {
		got = append(got, p.File+" "+p.Path)
	}
	want := []string{
		"1 roles.a[0].models", "1 roles.a[0].verbs[0]", "1 roles.a[1].verbs", "1 roles.b",
		"1 bindings[0].role", "1 bindings[0]", "1 bindings[1].role", "1 bindings[1]", "2 bindings[0]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
