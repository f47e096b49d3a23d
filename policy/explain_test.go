package policy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy"
)

func explained(t *testing.T) *policy.Policy {
	t.Helper()
	return compile(t, policy.Document{
		Roles: map[string][]policy.Entry{
			"admin":   {allow(on("dev-*"), "load"), allow(on("x", "*"), "*")},
			"no-prod": {deny(on("prod-*"), "load", "unload")},
			"other":   {allow(on("*"), "*")},
		},
		Bindings: []policy.Binding{
			{Role: "admin", Groups: []string{"ops", "nobody"}},
			{Role: "no-prod", Subjects: []string{"https://issuer#alice"}},
			{Role: "admin", Groups: []string{"staff"}},
			{Role: "other", Groups: []string{"elsewhere"}},
		},
	})
}

func TestExplainText(t *testing.T) {
	p := explained(t)
	cases := []struct {
		name  string
		who   *access.Principal
		verb  access.Verb
		model string
		want  string
	}{
		{"denied", member("ops", "staff"), access.Load, "prod-x", `denied: "https://issuer#alice", verb load, model "prod-x"
decided by: deny in role no-prod
groups: ops, staff
roles:
  admin, by group ops (policy.yaml: bindings[0]) and group staff (policy.yaml: bindings[2])
  no-prod, by subject https://issuer#alice (policy.yaml: bindings[1])
entries about it:
  allow policy.yaml: roles.admin[1], by pattern "*"
> deny  policy.yaml: roles.no-prod[0], by pattern "prod-*"
`},
		{"allowed", member("ops"), access.Load, "dev-x", `allowed: "https://issuer#alice", verb load, model "dev-x"
decided by: role admin
groups: ops
roles:
  admin, by group ops (policy.yaml: bindings[0])
  no-prod, by subject https://issuer#alice (policy.yaml: bindings[1])
entries about it:
> allow policy.yaml: roles.admin[0], by pattern "dev-*"
  allow policy.yaml: roles.admin[1], by pattern "*"
`},
		{"nothing about it", member("ops"), access.Shm, "", `denied: "https://issuer#alice", verb shm, no model
decided by: no role allows it
groups: ops
roles:
  admin, by group ops (policy.yaml: bindings[0])
  no-prod, by subject https://issuer#alice (policy.yaml: bindings[1])
entries about it: none
`},
		{"a stranger", &access.Principal{Issuer: "https://issuer", Subject: "bob"}, access.Infer, "m", `denied: "https://issuer#bob", verb infer, model "m"
decided by: no role allows it
groups: none
roles: none
entries about it: none
`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			if err := p.Explain(c.who, c.verb, c.model).WriteText(&b); err != nil {
				t.Fatal(err)
			}
			if b.String() != c.want {
				t.Errorf("got\n%s\nwant\n%s", b.String(), c.want)
			}
		})
	}
}

func TestExplainJSON(t *testing.T) {
	got, err := json.Marshal(explained(t).Explain(member("staff"), access.Unload, "prod-x"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"principal":"https://issuer#alice","groups":["staff"],"verb":"unload","model":"prod-x","allowed":false,` +
		`"reason":"ROLE_DENIES","rule":"deny in role no-prod","roles":[{"role":"admin","via":["group staff (policy.yaml: bindings[2])"]},` +
		`{"role":"no-prod","via":["subject https://issuer#alice (policy.yaml: bindings[1])"]}],"entries":[` +
		`{"place":"policy.yaml: roles.admin[1]","role":"admin","effect":"allow","pattern":"*","decides":false},` +
		`{"place":"policy.yaml: roles.no-prod[0]","role":"no-prod","effect":"deny","pattern":"prod-*","decides":true}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWhoCan(t *testing.T) {
	p := compile(t, policy.Document{
		Roles: map[string][]policy.Entry{
			"admin":   {allow(on("*"), "*")},
			"no-prod": {deny(on("prod-*"), "load")},
			"unbound": {allow(on("*"), "load")},
		},
		Bindings: []policy.Binding{
			{Role: "admin", Groups: []string{"ops", "trainees"}, Subjects: []string{"https://i#bob", "https://i#al"}},
			{Role: "no-prod", Groups: []string{"trainees", "guests"}, Subjects: []string{"https://i#al"}},
		},
	})
	cases := []struct {
		name, model, want string
		verb              access.Verb
	}{
		{"with denials", "prod-x", `{"verb":"load","model":"prod-x","roles":["admin","unbound"],"groups":["ops"],"subjects":["https://i#bob"],"denied_groups":["guests","trainees"],"denied_subjects":["https://i#al"]}`, access.Load},
		{"without", "dev-x", `{"verb":"load","model":"dev-x","roles":["admin","unbound"],"groups":["ops","trainees"],"subjects":["https://i#al","https://i#bob"],"denied_groups":[],"denied_subjects":[]}`, access.Load},
		{"nobody", "", `{"verb":"shm","model":"","roles":[],"groups":[],"subjects":[],"denied_groups":[],"denied_subjects":[]}`, access.Shm},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := json.Marshal(p.WhoCan(c.verb, c.model))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
