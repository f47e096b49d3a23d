// Package secret keeps what nobody may see: the credentials that Sluice shows to
// model servers, and the texts that masking's tokens stand for. They lie in the
// store sealed under a [Keyring] that is not in the store; [Credentials] takes
// them in and gives them out to nobody but a [Lease], which opens one for a
// call and is counted; [Tokens] keeps and reveals tokens. [Bytes] is how a
// secret is held: whatever prints it shows "[REDACTED]".
//
// It deliberately does not know how a credential is shown to a server (package
// backends/leased), who may store or reveal one (services/admin), nor where keys
// come from beyond a reference or a [KMS]. What other libraries make of a secret
// (gRPC's metadata strings, keys in crypto/tls) it can't wipe.
package secret
