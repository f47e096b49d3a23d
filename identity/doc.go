// Package identity tells who calls. It holds the contract of the family
// ([Authenticator], [Verifier]), and [Set], which sends each token to the
// source that its issuer belongs to and remembers the tokens that proved
// something. The sources themselves are its children; identity/oidc is the
// one to use for JSON Web Tokens of an OpenID Connect issuer.
//
// What is decided here is decided on headers, before a byte of a message is
// read. A token that cannot be judged (unknown issuer, issuer away, no source
// configured) is refused; nothing passes for want of an answer. No error, cause
// or log line of this package or its children holds a byte of a token.
//
// It does not fetch, refresh or exchange tokens, and does not decide what a
// principal may do: that is package policy.
package identity
