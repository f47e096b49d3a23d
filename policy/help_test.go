package policy_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy"
)

// compile makes a policy of one document, which must have no problems.
func compile(t testing.TB, d policy.Document) *policy.Policy {
	t.Helper()
	p, problems := policy.Compile([]policy.File{{Name: "policy.yaml", Document: d}}, policy.Options{})
	for _, problem := range problems {
		t.Errorf("unexpected problem: %s", problem)
	}
	if len(problems) > 0 {
		t.FailNow()
	}
	return p
}

// roles makes a document in which each role is bound to the group of its name.
func roles(roles map[string][]policy.Entry) policy.Document {
	d := policy.Document{Roles: roles}
	for name := range roles {
		d.Bindings = append(d.Bindings, policy.Binding{Role: name, Groups: []string{name}})
	}
	return d
}

func allow(models []string, verbs ...string) policy.Entry {
	return policy.Entry{Models: models, Verbs: verbs}
}

func deny(models []string, verbs ...string) policy.Entry {
	return policy.Entry{Models: models, Verbs: verbs, Deny: true}
}

func on(models ...string) []string { return models }

// member is a principal of groups, new each time: it has no memo yet.
func member(groups ...string) *access.Principal {
	return &access.Principal{Issuer: "https://issuer", Subject: "alice", Groups: groups}
}
