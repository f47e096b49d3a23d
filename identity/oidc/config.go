package oidc

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// Defaults and limits of a [Config].
const (
	DefaultSkew    = 30 * time.Second
	MaxSkew        = 5 * time.Minute
	DefaultRefresh = 5 * time.Minute
	MinRefresh     = 10 * time.Second
	MaxRefresh     = 24 * time.Hour
	DefaultStale   = time.Hour
	MaxStale       = 7 * 24 * time.Hour
)

// algorithms are the signatures of RFC 7518 section 3.1 and RFC 8037 that a
// stranger cannot make with what the issuer publishes. "none" and HS* are not
// among them, and no configuration can put them there.
var algorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// Config is one issuer whose tokens are believed.
type Config struct {
	// Name is the source's name in policy ("corp:ml-users") and in the log.
	Name string `yaml:"name"`
	// Issuer is the exact "iss" of its tokens; discovery starts there. It is an
	// https URL; http is taken on a loopback address only.
	Issuer string `yaml:"issuer"`
	// Audiences are the values of "aud" that are meant for this gateway; a token
	// has to hold one of them.
	Audiences []string `yaml:"audiences"`
	// Groups is the claim that holds the groups, a string or a list:
	// "groups", "realm_access.roles", or a list of names where one holds a dot.
	Groups ClaimPath `yaml:"groups"`
	// JWKS is where the keys are (a URL or file:PATH) if the issuer has no
	// discovery document.
	JWKS Location `yaml:"jwks"`
	// CA is a file of PEM certificates that the issuer's own certificate must
	// lead to, in place of the system's.
	CA access.File `yaml:"ca"`
	// Algorithms are the signature algorithms taken.
	Algorithms []string `yaml:"algorithms"`
	// Types, if given, are the only values of the header "typ" taken, as
	// [at+jwt] for an issuer that follows RFC 9068. Otherwise at+jwt, JWT and
	// none at all are.
	Types []string `yaml:"types"`
	// IDTokens also takes what the issuer marks as an ID token, for issuers
	// whose access tokens are not JSON Web Tokens. An ID token is meant for the
	// client that got it: its audience has to be among Audiences as well.
	IDTokens bool `yaml:"id_tokens"`
	// Service tells programs from people where the usual marks do not.
	Service ServiceRule `yaml:"service"`
	// Skew is how far the issuer's clock may differ from ours; it is granted to
	// exp, nbf and iat alike.
	Skew time.Duration `yaml:"skew"`
	// Refresh is how often the keys are fetched: no later than this does a
	// withdrawn key stop to work.
	Refresh time.Duration `yaml:"refresh"`
	// Stale is how long keys are believed while they cannot be fetched; then the
	// issuer's tokens are refused until it is back.
	Stale time.Duration `yaml:"stale"`
	// Login lets people get a token by `sluice login`.
	Login *Login `yaml:"login"`
}

// Login is as what people log in by the device flow (RFC 8628).
type Login struct {
	// ClientID is that of a public client which the issuer lets use the flow.
	ClientID string `yaml:"client_id"`
	// Scopes are what the token is asked for; offline_access among them has many
	// issuers give a refresh token too.
	Scopes []string `yaml:"scopes"`
	// Audience is what the token is asked to be for, where the issuer wants to be
	// told ("audience" of Auth0 and others).
	Audience string `yaml:"audience"`
}

// SetDefaults fills in what has a default.
func (l *Login) SetDefaults() { l.Scopes = []string{"openid"} }

// ServiceRule names a claim and those of its values that mark a program. With
// a rule, nothing else marks one.
type ServiceRule struct {
	// Claim is the claim to look at.
	Claim ClaimPath `yaml:"claim"`
	// Values are those that mark a program.
	Values []string `yaml:"values"`
}

// ClaimPath leads to a claim through nested objects.
type ClaimPath []string

// UnmarshalText reads names joined by dots; a name that is a URL, as Auth0 and
// others have them, is one name.
func (p *ClaimPath) UnmarshalText(text []byte) error {
	whole := string(text)
	if strings.Contains(whole, "://") {
		*p = ClaimPath{whole}
		return nil
	}
	names := strings.Split(whole, ".")
	if slices.Contains(names, "") {
		return errors.New(`must name a claim, as "groups" or "realm_access.roles"; write a list of names where one of them holds a dot`)
	}
	*p = names
	return nil
}

// Location is the place of a JWKS: an https URL or file:PATH.
type Location string

// Anchor makes a relative path relative to dir.
func (l *Location) Anchor(dir string) {
	if path, ok := l.file(); ok && path != "" && !filepath.IsAbs(path) {
		*l = Location("file:" + filepath.Join(dir, path))
	}
}

func (l *Location) file() (path string, ok bool) { return strings.CutPrefix(string(*l), "file:") }

// SetDefaults fills in what has a default; call it before anything else is
// set, because zero is a value of its own for Skew.
func (c *Config) SetDefaults() {
	c.Groups = ClaimPath{"groups"}
	c.Algorithms = slices.Clone(algorithms)
	c.Skew, c.Refresh, c.Stale = DefaultSkew, DefaultRefresh, DefaultStale
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// Validate reports everything that is wrong with c, relative to it.
func (c *Config) Validate() []access.Problem {
	var v problems
	v.check(nameForm.MatchString(c.Name), "name", "must be 1 to 63 letters, digits, '_', '.' or '-', and begin with a letter or digit")
	v.issuer(c.Issuer)
	v.check(len(c.Audiences) > 0, "audiences", "must name at least one audience: a token for another service is not one for this gateway")
	v.filled("audiences", c.Audiences)
	v.check(len(c.Groups) > 0, "groups", "must name a claim")
	v.filled("groups", c.Groups)
	v.location(c.JWKS)
	v.algorithms(c.Algorithms)
	v.filled("types", c.Types)
	v.service(c.Service)
	v.login(c.Login)
	v.check(c.Skew >= 0 && c.Skew <= MaxSkew, "skew", "must be between 0s and 5m")
	v.check(c.Refresh >= MinRefresh && c.Refresh <= MaxRefresh, "refresh", "must be between 10s and 24h")
	v.check(c.Stale >= c.Refresh && c.Stale <= MaxStale, "stale", "must be at least as long as refresh, and at most 7d")
	return v
}

type problems []access.Problem

func (v *problems) check(ok bool, path, message string) {
	if !ok {
		*v = append(*v, access.Problem{Path: path, Message: message})
	}
}

func (v *problems) filled(path string, values []string) {
	for i, value := range values {
		v.check(value != "", fmt.Sprintf("%s[%d]", path, i), "must not be empty")
	}
}

func (v *problems) issuer(text string) {
	u, err := parseURL(text)
	switch {
	case text == "":
		v.check(false, "issuer", "must be given: the exact iss of the tokens")
	case err != nil:
		v.check(false, "issuer", err.Error())
	case u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(text, "?#"):
		// OpenID Connect Discovery 1.0 section 3; and "issuer#subject" names a
		// principal.
		v.check(false, "issuer", "must have neither query nor fragment")
	}
}

func (v *problems) location(l Location) {
	if path, ok := l.file(); ok {
		v.check(path != "", "jwks", "must name a file after file:")
	} else if l != "" {
		_, err := parseURL(string(l))
		v.check(err == nil, "jwks", fmt.Sprint(err))
	}
}

func (v *problems) algorithms(names []string) {
	v.check(len(names) > 0, "algorithms", "must name at least one")
	for i, name := range names {
		path := fmt.Sprintf("algorithms[%d]", i)
		switch {
		case slices.Contains(algorithms, name):
		case strings.EqualFold(name, "none"):
			v.check(false, path, "none is never taken: it is no signature")
		case strings.HasPrefix(strings.ToUpper(name), "HS"):
			v.check(false, path, "HS* is never taken: who can check such a signature can make one")
		default:
			v.check(false, path, "must be one of "+strings.Join(algorithms, ", ")+access.DidYouMean(name, algorithms))
		}
	}
}

func (v *problems) service(rule ServiceRule) {
	v.filled("service.claim", rule.Claim)
	v.filled("service.values", rule.Values)
	v.check(len(rule.Claim) > 0 || len(rule.Values) == 0, "service.claim", "must name the claim that the values are of")
	v.check(len(rule.Values) > 0 || len(rule.Claim) == 0, "service.values", "must name the values that mark a program")
}

func (v *problems) login(l *Login) {
	if l == nil {
		return
	}
	v.check(l.ClientID != "", "login.client_id", "must name the client that people log in as")
	v.filled("login.scopes", l.Scopes)
}

// parseURL takes what keys may be fetched from: https, or http where nobody can
// stand in between.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return nil, errors.New("must be a URL such as https://issuer.example")
	case u.User != nil:
		return nil, errors.New("must not hold a user or password")
	}
	return u, secure(u)
}

func secure(u *url.URL) error {
	switch {
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("must begin with https://: over http anybody on the way could put in keys of their own (http is taken on a loopback address)")
	}
	return errors.New("must begin with https://")
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
