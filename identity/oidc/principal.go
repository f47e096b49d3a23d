package oidc

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/identity"
)

// maxSubject bounds "sub", in bytes; OpenID Connect Core 1.0 section 2 allows
// 255 characters.
const maxSubject = 1020

// principal is who a verified token names.
func (p *Provider) principal(token *identity.Token) (*access.Principal, error) {
	if token.Subject == "" || len(token.Subject) > maxSubject {
		return nil, identity.Invalid("it names no subject of at most 255 characters", nil)
	}
	groups, err := p.groups(token)
	if err != nil {
		return nil, err
	}
	signedIn, err := token.Claims.Date("auth_time")
	if err != nil {
		return nil, identity.Invalid("its auth_time is not a time", nil)
	}
	means, err := token.Claims.Texts("amr")
	if err != nil {
		return nil, identity.Invalid("its amr is neither text nor a list of texts", nil)
	}
	kind, err := p.service(token)
	if err != nil {
		return nil, err
	}
	return &access.Principal{
		Issuer: token.Issuer, Subject: token.Subject, Source: p.cfg.Name,
		Name: name(token), Kind: kind, Groups: groups, AuthTime: signedIn, Means: means,
	}, nil
}

// groups reads the groups claim. One that is there and cannot be read refuses
// the token, since a rule may deny by group; so does one that the issuer left out for its
// size and refers to instead (OpenID Connect Core 1.0 section 5.6.2, which
// Microsoft Entra ID does beyond 200 groups).
func (p *Provider) groups(token *identity.Token) ([]string, error) {
	if elsewhere, ok := token.Claims["_claim_names"].(map[string]any); ok {
		if _, ok := elsewhere[p.cfg.Groups[0]]; ok {
			return nil, identity.Invalid("it holds too many groups, so that its issuer left them out: have the issuer send only those that matter here", nil)
		}
	}
	groups, err := token.Claims.Texts(p.cfg.Groups...)
	if err != nil || slices.Contains(groups, "") {
		return nil, identity.Invalid("its groups are neither text nor a list of texts", nil)
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// name is for display only, so that what cannot be shown is passed over.
func name(token *identity.Token) string {
	for _, claim := range []string{"preferred_username", "name", "email", "client_id"} {
		if text, err := token.Claims.Text(claim); err == nil && text != "" && len(text) <= maxSubject {
			return text
		}
	}
	return token.Subject
}

// service tells programs, which got their token by client credentials, from
// people. Without a rule of the operator's, the marks are: the subject is the
// client itself (RFC 9068 section 2.2: client_id; azp, Okta's cid), Auth0's
// gty, Microsoft Entra ID's idtyp, and Keycloak's user name of a service
// account, which has to be that of the token's own client.
func (p *Provider) service(token *identity.Token) (access.Kind, error) {
	if rule := p.cfg.Service; len(rule.Claim) > 0 {
		values, err := token.Claims.Texts(rule.Claim...)
		if err != nil {
			return "", identity.Invalid("the claim that tells programs from people is neither text nor a list of texts", nil)
		}
		return kindIf(slices.ContainsFunc(values, func(v string) bool { return slices.Contains(rule.Values, v) })), nil
	}
	text := func(claim string) string {
		value, _ := token.Claims.Text(claim)
		return value
	}
	if text("gty") == "client-credentials" || text("idtyp") == "app" {
		return access.Service, nil
	}
	user := text("preferred_username")
	for _, claim := range []string{"client_id", "azp", "cid"} {
		client := text(claim)
		if client != "" && (client == token.Subject || user == "service-account-"+strings.ToLower(client)) {
			return access.Service, nil
		}
	}
	return access.User, nil
}

func kindIf(service bool) access.Kind {
	if service {
		return access.Service
	}
	return access.User
}
