package config_test

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

func TestSinksAreChecked(t *testing.T) {
	for name, tt := range map[string]struct{ sinks, want string }{
		"fine":             {`[{name: a, jsonl: {path: a.jsonl}}, {name: b, syslog: {address: "s:6514"}}]`, ""},
		"no name":          {`[{jsonl: {path: a}}]`, "audit.sinks[0].name: is missing"},
		"one name twice":   {`[{name: a, jsonl: {path: a}}, {name: a, jsonl: {path: b}}]`, `"a" is another sink's too`},
		"no kind":          {`[{name: a}]`, "exactly one"},
		"two kinds":        {`[{name: a, jsonl: {path: a}, otlp: {endpoint: "https://c:1"}}]`, "exactly one"},
		"a kind's problem": {`[{name: a, jetstream: {servers: ["nats:4222"]}}]`, "audit.sinks[0].jetstream.servers[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			path := lay(t, map[string]string{"sluice.yaml": document(map[string]string{"more": "audit: { sinks: " + tt.sinks + " }"}), "policy.yaml": rightPolicy})
			_, problems := config.Load(path)
			said := problems.Err()
			switch {
			case tt.want == "" && said != nil:
				t.Errorf("got %v", said)
			case tt.want != "" && (said == nil || !strings.Contains(said.Error(), tt.want)):
				t.Errorf("got %v, want %q", said, tt.want)
			}
		})
	}
}
