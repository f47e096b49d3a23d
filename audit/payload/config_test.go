package payload_test

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/audit/payload"
)

func TestWords(t *testing.T) {
	tests := []struct {
		text  string
		share float64
		ok    bool
	}{
		{"none", 0, true},
		{"masked", 1, true},
		{"sampled: 0.25", 0.25, true},
		{"sampled:1", 1, true},
		{"sampled", 0, false},
		{"clear", 0, false},
		{"", 0, false},
	}
	for _, tt := range tests {
		var r payload.Rules
		err := r.UnmarshalText([]byte(tt.text))
		if (err == nil) != tt.ok {
			t.Errorf("%q: %v", tt.text, err)
		}
		if tt.ok && (len(r) != 1 || r[0].Payloads.Share != tt.share || r[0].Models[0] != "*" || !r[0].Requests) {
			t.Errorf("%q: %+v", tt.text, r)
		}
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(c *payload.Config, r *payload.Rule)
		want   string // "" for none
	}{
		{"as it is", func(*payload.Config, *payload.Rule) {}, ""},
		{"no models", func(_ *payload.Config, r *payload.Rule) { r.Models = nil }, "payloads[0].models"},
		{"an empty pattern", func(_ *payload.Config, r *payload.Rule) { r.Models = []string{""} }, "payloads[0].models"},
		{"no verb", func(_ *payload.Config, r *payload.Rule) { r.Verbs = []string{"infre"} }, "payloads[0].verbs[0]"},
		{"a verb without a model", func(_ *payload.Config, r *payload.Rule) { r.Verbs = []string{"approve"} }, "payloads[0].verbs[0]"},
		{"more than all", func(_ *payload.Config, r *payload.Rule) { r.Payloads.Share = 1.5 }, "payloads[0].payloads"},
		{"no cap", func(_ *payload.Config, r *payload.Rule) { r.Cap = 0 }, "payloads[0].cap"},
		{"no memory", func(c *payload.Config, _ *payload.Rule) { c.PayloadMemory = 1 }, "payload_memory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c payload.Config
			c.SetDefaults()
			c.Payloads = rules(nil)
			tt.change(&c, &c.Payloads[0])
			var paths []string
			for _, p := range c.Validate() {
				paths = append(paths, p.Path)
			}
			if got := strings.Join(paths, " "); got != tt.want {
				t.Errorf("problems at %q, want %q", got, tt.want)
			}
		})
	}
}
