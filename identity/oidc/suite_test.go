package oidc_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/identity"
	"github.com/sluice-gateway/sluice/identity/identitytest"
	"github.com/sluice-gateway/sluice/identity/oidc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is what the shared suite asks for.
func config(setup identitytest.Setup) oidc.Config {
	var cfg oidc.Config
	cfg.SetDefaults()
	cfg.Name, cfg.Issuer, cfg.Audiences = setup.Name, setup.Issuer.URL, []string{identitytest.Audience}
	cfg.Skew, cfg.Refresh, cfg.Stale = identitytest.Skew, identitytest.Refresh, identitytest.Stale
	return cfg
}

// start makes a provider that ends with the test.
func start(t *testing.T, cfg oidc.Config, options oidc.Options) *oidc.Provider {
	t.Helper()
	provider, err := oidc.New(t.Context(), cfg, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	return provider
}

func TestProviderPassesTheSuite(t *testing.T) {
	identitytest.Run(t, func(t *testing.T, setup identitytest.Setup) identity.Source {
		return start(t, config(setup), oidc.Options{Logger: setup.Logger, Transport: setup.Issuer}).Source()
	})
}
