package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/notify"
)

func TestNotifyTogether(t *testing.T) {
	entry := func(name string) notify.Config {
		c := notify.Config{Name: name, Webhook: &notify.WebhookConfig{URL: "https://hook.example"}}
		if err := c.Webhook.Secret.UnmarshalText([]byte("${A}")); err != nil {
			t.Fatal(err)
		}
		c.SetDefaults()
		return c
	}
	var many []notify.Config
	for i := range notify.MaxChannels + 1 {
		many = append(many, entry(fmt.Sprint("n", i)))
	}
	for name, c := range map[string]struct {
		store  string
		notify []notify.Config
		says   string
	}{
		"good":         {"s.db", []notify.Config{entry("a"), entry("b")}, ""},
		"none":         {"", nil, ""},
		"no store":     {"", []notify.Config{entry("a")}, "notify: needs a store"},
		"one name":     {"s.db", []notify.Config{entry("a"), entry("a")}, `notify[1].name: "a" is the name of notify[0] too`},
		"too many":     {"s.db", many, "notify: has 51 entries, more than 50"},
		"a bad one":    {"s.db", []notify.Config{entry("")}, "notify[0].name: must be"},
		"none of them": {"s.db", []notify.Config{func() notify.Config { c := entry("a"); c.Webhook = nil; return c }()}, "notify[0]: needs exactly one"},
	} {
		cfg := config.Config{Notify: c.notify}
		cfg.Store.SQLite = c.store
		var found []string
		for _, p := range cfg.Validate() {
			if strings.HasPrefix(p.Path, "notify") {
				found = append(found, p.Path+": "+p.Message)
			}
		}
		if got := strings.Join(found, "\n"); c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
