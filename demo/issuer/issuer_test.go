package issuer_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/demo/issuer"
	"github.com/sluice-gateway/sluice/identity"
	"github.com/sluice-gateway/sluice/identity/oidc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts an issuer on a free port of loopback.
func serve(t *testing.T) (*issuer.Issuer, *httptest.Server) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	made, err := issuer.New("http://"+server.Listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = made.Handler()
	server.Start()
	t.Cleanup(server.Close)
	return made, server
}

// trust makes an authenticator that believes the issuer, as the demo does.
func trust(t *testing.T, from *issuer.Issuer) identity.Authenticator {
	t.Helper()
	var cfg oidc.Config
	cfg.SetDefaults()
	cfg.Name, cfg.Issuer, cfg.Audiences = "demo", from.URL(), []string{issuer.Audience}
	provider, err := oidc.New(t.Context(), cfg, oidc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	set, err := identity.NewSet([]identity.Source{provider.Source()}, identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestEverybodyIsWhoTheyAre(t *testing.T) {
	from, server := serve(t)
	who := trust(t, from)
	for name, want := range map[string]struct {
		kind   access.Kind
		groups []string
	}{
		"alice": {access.User, []string{"auditors", "model-admin"}},
		"bob":   {access.User, []string{"model-viewer"}},
		"carol": {access.User, []string{"approvers"}},
		"dana":  {access.User, []string{"model-viewer", "pii-readers"}},
		"ci":    {access.Service, nil},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := issuer.FetchToken(t.Context(), server.Listener.Addr().String(), name)
			if err != nil {
				t.Fatal(err)
			}
			p, err := who.Authenticate(context.Background(), token)
			if err != nil {
				t.Fatal(err)
			}
			if p.ID() != from.URL()+"#"+name || p.Name != name || p.Kind != want.kind || !slices.Equal(p.Groups, want.groups) {
				t.Errorf("got %s %s %s %v", p.ID(), p.Name, p.Kind, p.Groups)
			}
			if left := time.Until(p.Expires); left < 59*time.Minute || left > 61*time.Minute {
				t.Errorf("the token lives %s, want an hour", left)
			}
		})
	}
}
