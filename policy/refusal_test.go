package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy"
)

func TestRefusal(t *testing.T) {
	many := map[string][]policy.Entry{
		"model-admin":  {allow(on("*"), "*")},
		"model-viewer": {allow(on("*"), "infer", "list")},
		"no-prod":      {deny(on("prod-*"), "load")},
		"both":         {allow(on("*"), "load"), deny(on("prod-*"), "load")},
	}
	for i := range 5 {
		many[fmt.Sprintf("reader-%d", i)] = []policy.Entry{allow(on("*"), "audit_read")}
	}
	p := compile(t, roles(many))
	alice := &access.Principal{Issuer: "https://issuer", Subject: "alice", Groups: []string{"model-viewer"}}
	denied := &access.Principal{Issuer: "https://issuer", Subject: "42", Name: "Al", Groups: []string{"model-admin", "no-prod"}}
	cases := []struct {
		name  string
		who   *access.Principal
		verb  access.Verb
		model string
		want  string
	}{
		{"one role", alice, access.Unload, "simple", `principal "https://issuer#alice" may not use verb unload on model "simple": role model-admin allows it; ask for role model-admin`},
		{"two roles", alice, access.Load, "simple", `principal "https://issuer#alice" may not use verb load on model "simple": roles both and model-admin allow it; ask for one of them`},
		{"a role that denies it itself is not offered", alice, access.Load, "prod-x", `principal "https://issuer#alice" may not use verb load on model "prod-x": role model-admin allows it; ask for role model-admin`},
		{"many roles", alice, access.AuditRead, "simple", `principal "https://issuer#alice" may not use verb audit_read on model "simple": roles reader-0, reader-1, reader-2 and 2 more allow it; ask for one of them`},
		{"no role", alice, access.Shm, "", `principal "https://issuer#alice" may not use verb shm: no role of this gateway allows it; ask an administrator for one that does`},
		{"no model", alice, access.Trace, "", `principal "https://issuer#alice" may not use verb trace on all models: role model-admin allows it; ask for role model-admin`},
		{"denied", denied, access.Load, "prod-x", `principal "Al" ("https://issuer#42") may not use verb load on model "prod-x": a role that you hold denies it, and no other role can change that; ask an administrator of this gateway`},
		{"no issuer", &access.Principal{Subject: "bob"}, access.Unload, "m", `principal "bob" may not use verb unload on model "m": role model-admin allows it; ask for role model-admin`},
		{"nobody", nil, access.Unload, "m", `a caller without identity may not use verb unload on model "m": role model-admin allows it; ask for role model-admin`},
		{"control bytes", alice, access.Unload, "a\x00\n\xff\u202e\"", `principal "https://issuer#alice" may not use verb unload on model "a\x00\n\xff\u202e\"": role model-admin allows it; ask for role model-admin`},
		{"a megabyte", alice, access.Unload, strings.Repeat("é", 1<<19), `principal "https://issuer#alice" may not use verb unload on model "` + strings.Repeat("é", 32) + `"… (1048576 bytes): role model-admin allows it; ask for role model-admin`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := p.Decide(c.who, c.verb, c.model)
			err := p.Refusal(c.who, c.verb, c.model, d)
			if err == nil {
				t.Fatalf("no refusal of %+v", d)
			}
			if err.Message != c.want {
				t.Errorf("got  %s\nwant %s", err.Message, c.want)
			}
			if err.Kind != access.PermissionDenied || err.Reason != d.Reason {
				t.Errorf("got kind %v and reason %s", err.Kind, err.Reason)
			}
		})
	}
	if err := p.Refusal(alice, access.Infer, "m", p.Decide(alice, access.Infer, "m")); err != nil {
		t.Errorf("an allowed call is refused: %v", err)
	}
}

// TestRolesForTellsWhoWould holds the offer against the decision: whoever gets
// one of the roles offered, and has no other, is allowed.
func TestRolesForTellsWhoWould(t *testing.T) {
	p := compile(t, roles(map[string][]policy.Entry{
		"a": {allow(on("*x*y*"), "infer")},
		"b": {allow(on("x*"), "infer")},
		"c": {allow(on("*y"), "infer"), deny(on("xy"), "infer")},
		"d": {allow(on("x-y"), "infer")},
		"e": {allow(on("*"), "load")},
		"f": {allow(on("x-y"), "list")},
	}))
	for _, model := range []string{"xy", "x-y", "x", "zy", "z", ""} {
		for _, verb := range []access.Verb{access.Infer, access.Load, access.List, access.None, access.Verb(99)} {
			names, all := p.RolesFor(verb, model, 100)
			var want []string
			for _, role := range []string{"a", "b", "c", "d", "e", "f"} {
				if verb != access.None && p.Decide(member(role), verb, model).Allowed {
					want = append(want, role)
				}
			}
			if !slices.Equal(names, want) || all != len(want) {
				t.Errorf("%s on %q: got %v (%d), want %v", verb, model, names, all, want)
			}
		}
	}
	if names, all := p.RolesFor(access.Infer, "x-y", 2); !slices.Equal(names, []string{"a", "b"}) || all != 4 {
		t.Errorf("at most two: got %v of %d", names, all)
	}
}
