package oidc_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/identity/oidc"
)

func good() oidc.Config {
	var cfg oidc.Config
	cfg.SetDefaults()
	cfg.Name, cfg.Issuer, cfg.Audiences = "corp", "https://issuer.test", []string{"sluice"}
	return cfg
}

func TestDefaultsAreValid(t *testing.T) {
	cfg := good()
	if wrong := cfg.Validate(); len(wrong) > 0 {
		t.Errorf("got %v", wrong)
	}
	if cfg.Skew != 30*time.Second || cfg.Refresh != 5*time.Minute || cfg.Groups[0] != "groups" || len(cfg.Algorithms) != 10 {
		t.Errorf("got %+v", cfg)
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*oidc.Config)
		path   string // "" where it is valid
		text   string
	}{
		"no name":               {func(c *oidc.Config) { c.Name = "" }, "name", "letters"},
		"name with a colon":     {func(c *oidc.Config) { c.Name = "a:b" }, "name", "letters"},
		"no issuer":             {func(c *oidc.Config) { c.Issuer = "" }, "issuer", "must be given"},
		"issuer over http":      {func(c *oidc.Config) { c.Issuer = "http://issuer.test" }, "issuer", "https://"},
		"issuer on loopback":    {func(c *oidc.Config) { c.Issuer = "http://127.0.0.1:8004" }, "", ""},
		"issuer on loopback 6":  {func(c *oidc.Config) { c.Issuer = "http://[::1]:8004" }, "", ""},
		"issuer on localhost":   {func(c *oidc.Config) { c.Issuer = "http://localhost:8004" }, "", ""},
		"issuer like loopback":  {func(c *oidc.Config) { c.Issuer = "http://127.0.0.1.evil.test" }, "issuer", "https://"},
		"issuer like localhost": {func(c *oidc.Config) { c.Issuer = "http://localhost.evil.test" }, "issuer", "https://"},
		"issuer with a path":    {func(c *oidc.Config) { c.Issuer = "https://issuer.test/realms/a/" }, "", ""},
		"issuer with a query":   {func(c *oidc.Config) { c.Issuer = "https://issuer.test?x=1" }, "issuer", "query"},
		"issuer, empty query":   {func(c *oidc.Config) { c.Issuer = "https://issuer.test?" }, "issuer", "query"},
		"issuer with fragment":  {func(c *oidc.Config) { c.Issuer = "https://issuer.test#x" }, "issuer", "fragment"},
		"issuer with password":  {func(c *oidc.Config) { c.Issuer = "https://a:b@issuer.test" }, "issuer", "password"},
		"issuer without scheme": {func(c *oidc.Config) { c.Issuer = "issuer.test" }, "issuer", "must be a URL"},
		"issuer in a file":      {func(c *oidc.Config) { c.Issuer = "file:///etc/passwd" }, "issuer", "must be a URL"},
		"issuer over ftp":       {func(c *oidc.Config) { c.Issuer = "ftp://issuer.test" }, "issuer", "https://"},
		"no audience":           {func(c *oidc.Config) { c.Audiences = nil }, "audiences", "at least one"},
		"empty audience":        {func(c *oidc.Config) { c.Audiences = []string{"a", ""} }, "audiences[1]", "empty"},
		"no groups":             {func(c *oidc.Config) { c.Groups = nil }, "groups", "claim"},
		"jwks over http":        {func(c *oidc.Config) { c.JWKS = "http://issuer.test/keys" }, "jwks", "https://"},
		"jwks over https":       {func(c *oidc.Config) { c.JWKS = "https://issuer.test/keys?v=1" }, "", ""},
		"jwks in a file":        {func(c *oidc.Config) { c.JWKS = "file:keys.json" }, "", ""},
		"jwks in no file":       {func(c *oidc.Config) { c.JWKS = "file:" }, "jwks", "name a file"},
		"no algorithms":         {func(c *oidc.Config) { c.Algorithms = nil }, "algorithms", "at least one"},
		"none":                  {func(c *oidc.Config) { c.Algorithms = []string{"RS256", "None"} }, "algorithms[1]", "no signature"},
		"HS256":                 {func(c *oidc.Config) { c.Algorithms = []string{"hs256"} }, "algorithms[0]", "can make one"},
		"algorithm mistyped":    {func(c *oidc.Config) { c.Algorithms = []string{"RS265"} }, "algorithms[0]", `did you mean "RS256"`},
		"rule without values":   {func(c *oidc.Config) { c.Service.Claim = oidc.ClaimPath{"x"} }, "service.values", "values"},
		"rule without a claim":  {func(c *oidc.Config) { c.Service.Values = []string{"x"} }, "service.claim", "claim"},
		"no skew":               {func(c *oidc.Config) { c.Skew = 0 }, "", ""},
		"skew too large":        {func(c *oidc.Config) { c.Skew = 6 * time.Minute }, "skew", "5m"},
		"negative skew":         {func(c *oidc.Config) { c.Skew = -1 }, "skew", "5m"},
		"refresh too often":     {func(c *oidc.Config) { c.Refresh = time.Second }, "refresh", "10s"},
		"refresh never":         {func(c *oidc.Config) { c.Refresh = 0 }, "refresh", "10s"},
		"a login":               {func(c *oidc.Config) { c.Login = &oidc.Login{ClientID: "cli"} }, "", ""},
		"a login as nobody":     {func(c *oidc.Config) { c.Login = new(oidc.Login) }, "login.client_id", "must name the client"},
		"an empty scope":        {func(c *oidc.Config) { c.Login = &oidc.Login{ClientID: "cli", Scopes: []string{""}} }, "login.scopes[0]", "empty"},
		"stale before refresh":  {func(c *oidc.Config) { c.Stale = time.Minute }, "stale", "refresh"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good()
			c.change(&cfg)
			wrong := cfg.Validate()
			if c.path == "" {
				if len(wrong) > 0 {
					t.Errorf("got %v", wrong)
				}
				return
			}
			if len(wrong) != 1 || wrong[0].Path != c.path || !strings.Contains(wrong[0].Message, c.text) {
				t.Errorf("got %v, want %s: %s", wrong, c.path, c.text)
			}
			if _, err := oidc.New(context.Background(), cfg, oidc.Options{}); err == nil {
				t.Error("a provider was made of it")
			}
		})
	}
}

func TestValidateReportsEverything(t *testing.T) {
	var cfg oidc.Config
	var paths []string
	for _, problem := range cfg.Validate() {
		paths = append(paths, problem.Path)
	}
	if want := []string{"name", "issuer", "audiences", "groups", "algorithms", "refresh"}; !slices.Equal(paths, want) {
		t.Errorf("got %v, want %v", paths, want)
	}
}

func TestClaimPath(t *testing.T) {
	for text, want := range map[string][]string{
		"groups":                        {"groups"},
		"realm_access.roles":            {"realm_access", "roles"},
		"a.b.c":                         {"a", "b", "c"},
		"https://sluice.example/groups": {"https://sluice.example/groups"},
		"":                              nil,
		".groups":                       nil,
		"a..b":                          nil,
	} {
		t.Run(text, func(t *testing.T) {
			var got oidc.ClaimPath
			if err := got.UnmarshalText([]byte(text)); (err != nil) != (want == nil) || !slices.Equal(got, want) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestLocationAnchor(t *testing.T) {
	for text, want := range map[oidc.Location]oidc.Location{
		"file:keys.json":          "file:/etc/sluice/keys.json",
		"file:/keys.json":         "file:/keys.json",
		"file:":                   "file:",
		"https://issuer.test/key": "https://issuer.test/key",
	} {
		got := text
		if got.Anchor("/etc/sluice"); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}
