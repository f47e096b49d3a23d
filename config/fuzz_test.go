package config_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/policy"
)

// Whatever a file holds, the decoder answers with problems that stand in it,
// and what passes passes again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		document(nil), rightPolicy, "", "a: &a [*a]", "<<: {}", "? [a]\n: b", "a: !x 1", "- 1", "any: {a: [1, {b: 2}]}", "x: 1\n---\n",
		"list: [ { name: a, wait: 1d, count: 300 } ]\nmap: { \"a.b[0]\": { name: 1 } }\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, into := range []any{new(config.Config), new(policy.Document), new(sample)} {
			_, problems := config.Decode("f.yaml", data, into)
			for _, p := range problems {
				if p.Message == "" || p.Line < 0 || p.Column < 0 {
					t.Errorf("problem %+v", p)
				}
			}
			if c, ok := into.(*config.Config); ok {
				_ = c.Validate()
			}
		}
	})
}
