package config_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/identity/oidc"
)

func TestNeedRestart(t *testing.T) {
	reference := func(text string) access.Secret {
		var s access.Secret
		if err := s.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	tests := map[string]struct {
		change func(*config.Config)
		want   []string
	}{
		"nothing":         {func(*config.Config) {}, nil},
		"grpc":            {func(c *config.Config) { c.Server.GRPC = ":1" }, []string{"server.grpc"}},
		"rest":            {func(c *config.Config) { c.Server.REST = config.Off }, []string{"server.rest"}},
		"metrics":         {func(c *config.Config) { c.Server.Metrics = ":1" }, []string{"server.metrics"}},
		"console":         {func(c *config.Config) { c.Server.Console = ":1" }, []string{"server.console"}},
		"TLS on":          {func(c *config.Config) { c.Server.TLS = &config.ServerTLS{} }, []string{"server.tls"}},
		"max_streams":     {func(c *config.Config) { c.Server.Limits.MaxStreams++ }, []string{"server.limits"}},
		"memory":          {func(c *config.Config) { c.Server.Memory.GCPercent++ }, []string{"server.memory"}},
		"sqlite":          {func(c *config.Config) { c.Store.SQLite = "a" }, []string{"store"}},
		"postgres":        {func(c *config.Config) { c.Store.Postgres = reference("${A}") }, []string{"store"}},
		"audit":           {func(c *config.Config) { c.Audit.Queue++ }, []string{"audit"}},
		"several":         {func(c *config.Config) { c.Server.GRPC, c.Server.Console = "a", "b" }, []string{"server.grpc", "server.console"}},
		"probes":          {func(c *config.Config) { c.Server.Probes = "authenticated" }, nil},
		"ready":           {func(c *config.Config) { c.Server.Ready = "all" }, nil},
		"shutdown_grace":  {func(c *config.Config) { c.Server.ShutdownGrace = time.Hour }, nil},
		"identity source": {func(c *config.Config) { c.Identity.OIDC = []oidc.Config{{Name: "a"}} }, nil},
		"backend":         {func(c *config.Config) { c.Backends = []backends.Config{{Name: "a"}} }, nil},
		"policy":          {func(c *config.Config) { c.Policy = []string{"a"} }, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var old, loaded config.Config
			config.SetDefaults(&old)
			config.SetDefaults(&loaded)
			tt.change(&loaded)
			if got := config.NeedRestart(&old, &loaded); !slices.Equal(got, tt.want) {
				t.Errorf("%v need a restart, want %v", got, tt.want)
			}
			if got := config.NeedRestart(&loaded, &old); !slices.Equal(got, tt.want) {
				t.Errorf("the other way round %v need a restart, want %v", got, tt.want)
			}
		})
	}
}

// The same reference to a secret is no change, though it cannot be printed.
func TestNeedRestartComparesSecrets(t *testing.T) {
	var one, two config.Config
	for _, c := range []*config.Config{&one, &two} {
		if err := c.Store.Postgres.UnmarshalText([]byte("${SLUICE_POSTGRES}")); err != nil {
			t.Fatal(err)
		}
	}
	if got := config.NeedRestart(&one, &two); got != nil {
		t.Errorf("%v need a restart", got)
	}
	if err := two.Store.Postgres.UnmarshalText([]byte("${OTHER}")); err != nil {
		t.Fatal(err)
	}
	if got := config.NeedRestart(&one, &two); !slices.Equal(got, []string{"store"}) {
		t.Errorf("%v need a restart", got)
	}
}
