package config_test

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

// TestWhoMayAskAheadStandsInPolicyFiles reads entries of the key access, of which
// problems have their places.
func TestWhoMayAskAheadStandsInPolicyFiles(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		o    config.RulesOptions
		want string
	}{
		"right":          {`access: [ { models: ["*"], verbs: [load], for: [a], by: [b], max: 4h } ]`, config.RulesOptions{}, ""},
		"with all keys":  {`access: [ { models: [m], verbs: ["*"], for: [a], by: [b], max: 1d, count: 2, within: 1h, reason: required, ticket: "T-.*" } ]`, config.RulesOptions{}, ""},
		"without store":  {`access: [ { models: ["*"], verbs: [load], for: [a], by: [b], max: 4h } ]`, config.RulesOptions{Stateless: true}, "p.yaml:1:1: access: approvals have to be kept"},
		"no time":        {`access: [ { models: ["*"], verbs: [load], for: [a], by: [b] } ]`, config.RulesOptions{}, "p.yaml:1:11: access[0].max: must be a time"},
		"a verb unknown": {`access: [ { models: ["*"], verbs: [laod], for: [a], by: [b], max: 4h } ]`, config.RulesOptions{}, `p.yaml:1:36: access[0].verbs[0]: unknown verb "laod" (did you mean "load"?)`},
		"a key unknown":  {`access: [ { models: ["*"], verbs: [load], for: [a], by: [b], max: 4h, mode: ask } ]`, config.RulesOptions{}, `access[0].mode: unknown key`},
		"another source": {`access: [ { models: ["*"], verbs: [load], for: ["x:a"], by: ["y:b"], max: 4h } ]`, config.RulesOptions{Sources: []string{"x", "z"}}, `group "y:b" is of an unknown identity source`},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.ReadFile = func(string) ([]byte, error) { return []byte(c.text), nil }
			rules, problems := config.ReadRules([]string{"p.yaml"}, c.o)
			if c.want == "" {
				if rules == nil || rules.Asking.Empty() {
					t.Errorf("got %v", problems)
				}
				return
			}
			if err := problems.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
