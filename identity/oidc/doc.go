// Package oidc verifies the JSON Web Tokens of an OpenID Connect or OAuth 2.0
// issuer: by discovery, or with a JWKS by URL or file where there is none. Make
// one [Provider] of each [Config] with [New], put its [Provider.Source] into
// an identity.Set, and Close it when the configuration is replaced.
//
// Signatures and the claims that OpenID Connect Core section 3.1.3.7 names are
// checked by github.com/coreos/go-oidc; the keys, the times, the audiences and
// what sort of token it is are checked here, because a gateway needs other rules
// than a login page: several audiences, a skew of the operator's choice,
// access tokens instead of ID tokens, keys that go when they are withdrawn. RFC
// 8725 (best practice for JSON Web Tokens) is the list of attacks followed.
//
// It takes no opaque tokens, asks no introspection or userinfo endpoint, and
// cannot check proof of possession (DPoP, mTLS), so it refuses tokens bound to it.
package oidc
