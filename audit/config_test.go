package audit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
)

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*audit.Config)
		want   string // the path and the beginning of the problem
	}{
		"the defaults":         {func(*audit.Config) {}, ""},
		"no verb":              {func(c *audit.Config) { c.Strict = []string{"load", "lode"} }, `strict[1]: "lode" is not a verb`},
		"none strict":          {func(c *audit.Config) { c.Strict = nil }, ""},
		"another mode":         {func(c *audit.Config) { c.OnFailure = "ignore" }, "on_failure: must be refuse or continue"},
		"a queue of none":      {func(c *audit.Config) { c.Queue = 0 }, "queue: must be between"},
		"a queue without end":  {func(c *audit.Config) { c.Queue = 1 << 40 }, "queue: must be between"},
		"a wait without end":   {func(c *audit.Config) { c.Wait = time.Hour }, "wait: must be positive and at most 10m0s"},
		"no batch":             {func(c *audit.Config) { c.Batch = 0 }, "batch: must be positive"},
		"a trust of no time":   {func(c *audit.Config) { c.TrustClock = "tomorrow" }, "trust_clock: must be a time such as"},
		"a minute's retention": {func(c *audit.Config) { c.Retain = time.Minute }, "retain: must be 0 (for ever)"},
		"strangers":            {func(c *audit.Config) { c.Strangers = -1 }, "strangers: must not be negative"},
		"never signed":         {func(c *audit.Config) { c.Checkpoint.Every = 0 }, "checkpoint: records and every"},
		"a plain webhook":      {func(c *audit.Config) { c.Checkpoint.Webhook = "http://example.com" }, "checkpoint.webhook: must be an https URL"},
		"not quite loopback":   {func(c *audit.Config) { c.Checkpoint.Webhook = "http://127.0.0.1.example.com" }, "checkpoint.webhook: must be an https URL"},
		"loopback":             {func(c *audit.Config) { c.Checkpoint.Webhook = "http://127.0.0.1:8080/x" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var config audit.Config
			config.SetDefaults()
			c.change(&config)
			var got []string
			for _, p := range config.Validate() {
				got = append(got, p.Path+": "+p.Message)
			}
			if text := strings.Join(got, "; "); (text == "") != (c.want == "") || !strings.HasPrefix(text, c.want) {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}
