// Package issuer is the demo's OpenID Connect issuer: alice, bob, carol, dana
// and the service account ci, with keys made at start. [New] makes it,
// [Issuer.Handler] serves it, [FetchToken] gets a token from a running one.
//
// It asks nobody for a password: who reaches it is alice. So it answers on
// loopback alone, whatever it is bound to, and not to a browser's pages. It is
// no part of `sluice serve`.
package issuer
