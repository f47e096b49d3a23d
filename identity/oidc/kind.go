package oidc

import (
	"strings"

	"github.com/sluice-gateway/sluice/identity"
)

// accessMarks are the payload marks of access tokens: Keycloak's "typ" and
// Amazon Cognito's "token_use".
var accessMarks = map[string]bool{"bearer": true, "access": true, "jwt": true, "at+jwt": true, "access_token": true}

// typesOf are the header types taken. Other values are other things: dpop+jwt,
// logout+jwt, secevent+jwt … (RFC 8725 section 3.11).
func typesOf(configured []string) map[string]bool {
	if len(configured) == 0 {
		return map[string]bool{"": true, "jwt": true, "at+jwt": true}
	}
	types := make(map[string]bool)
	for _, one := range configured {
		types[typeOf(one)] = true
	}
	return types
}

// typeOf is a media type without the prefix that may be left out (RFC 7515
// section 4.1.9), in lower case.
func typeOf(text string) string {
	return strings.TrimPrefix(strings.ToLower(text), "application/")
}

// kind refuses what its issuer marks as something else than an access token,
// and access tokens that prove nothing by themselves.
func (p *Provider) kind(token *identity.Token) error {
	if !p.types[typeOf(token.Type)] {
		return notAccess("its typ says that it is no access token of the sort taken here")
	}
	for _, name := range []string{"typ", "token_use"} {
		mark, err := token.Claims.Text(name)
		if err != nil {
			return identity.Invalid("its "+name+" is not plain text", nil)
		}
		mark = strings.ToLower(mark)
		if mark != "" && !accessMarks[mark] && !(mark == "id" && p.cfg.IDTokens) {
			return notAccess("it is marked as another sort of token")
		}
	}
	// OpenID Connect Core 1.0 sections 3.1.3.6 and 3.3.2.11: hashes of what was
	// issued together with an ID token.
	if !p.cfg.IDTokens && (has(token, "at_hash") || has(token, "c_hash")) {
		return notAccess("it is an ID token")
	}
	// RFC 8417 section 2.2: a security event, as a logout token is.
	if has(token, "events") {
		return notAccess("it is a security event")
	}
	// RFC 7800 section 3.1; RFC 9449 and RFC 8705 use it for DPoP and mTLS.
	if has(token, "cnf") {
		return identity.Invalid("it is bound to a key (cnf), which cannot be checked here: ask the issuer for a plain bearer token", nil)
	}
	return nil
}

func has(token *identity.Token, claim string) bool {
	_, ok := token.Claims[claim]
	return ok
}

func notAccess(what string) error {
	return identity.Invalid(what+": send the access token", nil)
}
