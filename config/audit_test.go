package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

// TestWhereTheLogIs: what is said of audit counts first, then where the store is.
func TestWhereTheLogIs(t *testing.T) {
	t.Setenv("ONE", "postgres:///one")
	t.Setenv("TWO", "postgres:///two")
	for name, c := range map[string]struct{ text, path, url, key, problem string }{
		"nothing":                 {text: ""},
		"off":                     {text: `{ audit: { sqlite: "off" }, store: { postgres: "${ONE}" } }`},
		"beside the store's file": {text: `{ store: { sqlite: s.db } }`, path: "s.audit.db", key: "s.audit.key"},
		"in the store":            {text: `{ store: { postgres: "${ONE}" } }`, url: "postgres:///one", key: "audit.key"},
		"in another database":     {text: `{ store: { postgres: "${ONE}" }, audit: { postgres: "${TWO}", key: k/a } }`, url: "postgres:///two", key: "k/a"},
		"a file of its own":       {text: `{ store: { postgres: "${ONE}" }, audit: { sqlite: a.db } }`, path: "a.db", key: "a.key"},
		"database, store a file":  {text: `{ store: { sqlite: s.db }, audit: { postgres: "${TWO}" } }`, url: "postgres:///two", key: "audit.key"},
		"both":                    {text: `{ audit: { sqlite: a.db, postgres: "${TWO}" } }`, problem: "exclude each other"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			text := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(c.text, "{ "), " }"), " }, ", " }\n") // a key a line
			write(t, dir, "policy.yaml", "roles: { r: [ { models: [\"*\"], verbs: [infer] } ] }\nbindings: [ { role: r, groups: [g] } ]\n")
			write(t, dir, "sluice.yaml", text+`
identity: { oidc: [ { name: corp, issuer: "https://login.example.com", audiences: [sluice] } ] }
backends: [ { name: gpu, type: triton, addresses: ["127.0.0.1:9001"], models: ["*"] } ]
policy: [policy.yaml]
`)
			got, problems := config.Load(filepath.Join(dir, "sluice.yaml"))
			if c.problem != "" {
				if got != nil || !strings.Contains(problems.Err().Error(), c.problem) {
					t.Errorf("problems are %v", problems)
				}
				return
			}
			if got == nil {
				t.Fatal(problems)
			}
			url := ""
			if ref := got.LogPostgres(); !ref.IsZero() {
				var err error
				if url, err = ref.Resolve(); err != nil {
					t.Fatal(err)
				}
			}
			in := func(name string) string {
				if name == "" {
					return ""
				}
				return filepath.Join(dir, name)
			}
			if got.LogPath() != in(c.path) || url != c.url || got.HasLog() != (c.path+c.url != "") || c.key != "" && got.LogKey() != in(c.key) {
				t.Errorf("path %s, url %s, key %s", got.LogPath(), url, got.LogKey())
			}
		})
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
