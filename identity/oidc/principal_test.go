package oidc_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/identity"
	"github.com/sluice-gateway/sluice/identity/identitytest"
	"github.com/sluice-gateway/sluice/identity/oidc"
)

// judge shows a token of k with header and claims to a provider of cfg, under a
// clock of its own.
func judge(t *testing.T, change func(*oidc.Config), header, claims map[string]any, check func(*access.Principal, error)) {
	t.Helper()
	k := identitytest.EC()
	synctest.Test(t, func(t *testing.T) {
		issuer := identitytest.NewIssuer(t, identitytest.URL, k)
		cfg := config(identitytest.Setup{Issuer: issuer, Name: "corp"})
		if change != nil {
			change(&cfg)
		}
		set, err := identity.NewSet([]identity.Source{start(t, cfg, oidc.Options{Transport: issuer}).Source()}, identity.Options{})
		if err != nil {
			t.Fatal(err)
		}
		check(set.Authenticate(t.Context(), identitytest.Sign(t, k, header, issuer.Claims(claims))))
	})
}

func TestUsersAndServices(t *testing.T) {
	byRule := func(c *oidc.Config) {
		c.Service = oidc.ServiceRule{Claim: oidc.ClaimPath{"act", "as"}, Values: []string{"robot", "machine"}}
	}
	for name, c := range map[string]struct {
		change func(*oidc.Config)
		claims map[string]any
		want   access.Kind
	}{
		"nothing said":                  {nil, nil, access.User},
		"a person at a client":          {nil, map[string]any{"client_id": "web", "azp": "web"}, access.User},
		"client_id is the subject":      {nil, map[string]any{"sub": "ci", "client_id": "ci"}, access.Service},
		"azp is the subject":            {nil, map[string]any{"sub": "ci", "azp": "ci"}, access.Service},
		"Okta":                          {nil, map[string]any{"sub": "ci", "cid": "ci"}, access.Service},
		"Auth0":                         {nil, map[string]any{"sub": "x@clients", "gty": "client-credentials"}, access.Service},
		"Auth0, a password":             {nil, map[string]any{"gty": "password"}, access.User},
		"Entra ID":                      {nil, map[string]any{"idtyp": "app"}, access.Service},
		"Entra ID, a person":            {nil, map[string]any{"idtyp": "user"}, access.User},
		"Keycloak":                      {nil, map[string]any{"azp": "CI", "preferred_username": "service-account-ci"}, access.Service},
		"Keycloak, another client's":    {nil, map[string]any{"azp": "web", "preferred_username": "service-account-ci"}, access.User},
		"Keycloak, no client":           {nil, map[string]any{"preferred_username": "service-account-"}, access.User},
		"by rule":                       {byRule, map[string]any{"act": map[string]any{"as": "robot"}}, access.Service},
		"by rule, in a list":            {byRule, map[string]any{"act": map[string]any{"as": []string{"x", "machine"}}}, access.Service},
		"by rule, another value":        {byRule, map[string]any{"act": map[string]any{"as": "person"}}, access.User},
		"by rule, nothing else counts":  {byRule, map[string]any{"sub": "ci", "client_id": "ci"}, access.User},
		"a mark that cannot be read":    {nil, map[string]any{"client_id": 1, "gty": []string{"client-credentials"}}, access.User},
		"empty client and no such user": {nil, map[string]any{"client_id": ""}, access.User},
	} {
		t.Run(name, func(t *testing.T) {
			judge(t, c.change, nil, c.claims, func(who *access.Principal, err error) {
				if err != nil || who.Kind != c.want {
					t.Errorf("got %+v, %v", who, err)
				}
			})
		})
	}
}

func TestGroups(t *testing.T) {
	path := func(names ...string) func(*oidc.Config) {
		return func(c *oidc.Config) { c.Groups = names }
	}
	roles := map[string]any{"roles": []string{"b", "a", "b"}}
	for name, c := range map[string]struct {
		change func(*oidc.Config)
		claims map[string]any
		want   []string
	}{
		"none":                 {nil, nil, nil},
		"text":                 {nil, map[string]any{"groups": "ml users"}, []string{"ml users"}},
		"list":                 {nil, map[string]any{"groups": []string{"b", "a", "b"}}, []string{"a", "b"}},
		"nested":               {path("realm_access", "roles"), map[string]any{"realm_access": roles}, []string{"a", "b"}},
		"nested, not there":    {path("realm_access", "roles"), map[string]any{"realm_access": "x"}, nil},
		"a URL":                {path("https://x.test/groups"), map[string]any{"https://x.test/groups": "a"}, []string{"a"}},
		"another claim":        {path("roles"), map[string]any{"groups": "a", "roles": "b"}, []string{"b"}},
		"elsewhere, unrelated": {nil, map[string]any{"groups": "a", "_claim_names": map[string]any{"photo": "s"}, "_claim_sources": map[string]any{"s": map[string]any{}}}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			judge(t, c.change, nil, c.claims, func(who *access.Principal, err error) {
				if err != nil || !slices.Equal(who.Groups, c.want) {
					t.Errorf("got %+v, %v", who, err)
				}
			})
		})
	}
}

func TestNameAuthTimeAndMeans(t *testing.T) {
	judge(t, nil, nil, map[string]any{"auth_time": 946684000, "amr": []string{"pwd", "otp"}, "name": "Alice", "email": "a@x.test"},
		func(who *access.Principal, err error) {
			if err != nil {
				t.Fatal(err)
			}
			if who.Name != "Alice" || !who.AuthTime.Equal(time.Unix(946684000, 0)) || !slices.Equal(who.Means, []string{"pwd", "otp"}) {
				t.Errorf("got %+v", who)
			}
		})
	judge(t, nil, nil, map[string]any{"name": 7, "preferred_username": "a\nb"}, func(who *access.Principal, err error) {
		if err != nil || who.Name != identitytest.Subject || !who.AuthTime.IsZero() || who.Means != nil {
			t.Errorf("got %+v, %v", who, err)
		}
	})
}

func TestTokenTypes(t *testing.T) {
	strict := func(c *oidc.Config) { c.Types = []string{"application/AT+JWT"} }
	ids := func(c *oidc.Config) { c.IDTokens = true }
	jwt := map[string]any{"typ": "JWT"}
	for name, c := range map[string]struct {
		change         func(*oidc.Config)
		header, claims map[string]any
		text           string // of the refusal; "" where it is taken
	}{
		"Keycloak's access token":  {nil, jwt, map[string]any{"typ": "Bearer"}, ""},
		"Cognito's access token":   {nil, jwt, map[string]any{"token_use": "access"}, ""},
		"strict, marked":           {strict, nil, nil, ""},
		"strict, JWT":              {strict, jwt, nil, "send the access token"},
		"strict, no typ":           {strict, map[string]any{"typ": nil}, nil, "send the access token"},
		"ID token":                 {nil, jwt, map[string]any{"typ": "ID"}, "send the access token"},
		"ID token allowed":         {ids, jwt, map[string]any{"typ": "ID", "at_hash": "x"}, ""},
		"refresh token, ID tokens": {ids, jwt, map[string]any{"typ": "Refresh"}, "send the access token"},
		"typ that is no text":      {nil, jwt, map[string]any{"typ": 1}, "typ is not plain text"},
	} {
		t.Run(name, func(t *testing.T) {
			judge(t, c.change, c.header, c.claims, func(who *access.Principal, err error) {
				if c.text == "" && err != nil || c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text)) {
					t.Errorf("got %v, %v", who, err)
				}
			})
		})
	}
}
