package identity

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// Authenticator turns a bearer token into the principal that it proves.
//
// Errors are [*access.Error]: Unauthenticated (ReasonTokenMissing,
// ReasonTokenInvalid, ReasonTokenExpired), Unavailable (ReasonIssuerAway)
// where the token's issuer cannot be asked, Exhausted where too many unknown
// tokens wait. Their messages are safe to show and hold no part of the token.
// It is safe for concurrent use, and so are the principals it returns, which
// calls with the same token share.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (*access.Principal, error)
}

// Verifier judges the tokens of one issuer. Both methods are safe for
// concurrent use and return [*access.Error].
type Verifier interface {
	// Ready waits until the token's signing key is at hand, or says why it
	// never will be. It is the only method that may wait, and does so for
	// seconds and for a bounded number of callers at most.
	Ready(ctx context.Context, token *Token) error
	// Verify checks everything about the token. It works on what is in memory:
	// [Set] bounds how many run at the same time.
	Verify(ctx context.Context, token *Token) (Verified, error)
}

// Source is a [Verifier] under the name that the configuration gives it, for
// the tokens whose "iss" is exactly Issuer.
type Source struct {
	Name     string
	Issuer   string
	Verifier Verifier
}

// Verified is what a token proved. The principal is new, and [Set]
// completes it before anybody else sees it.
type Verified struct {
	Principal *access.Principal
	// Key is the standing of the key that signed; nil where nothing but
	// Principal.Expires ends the proof.
	Key *Key
}

// Key is how long a signing key is trusted. A remembered token is worth
// nothing from the moment that its key is not: the key's owner writes, every
// hit of the cache reads. The zero Key is trusted by nobody. It is safe for
// concurrent use.
type Key struct{ until atomic.Int64 }

// TrustUntil says that the key was seen in force and counts until t.
func (k *Key) TrustUntil(t time.Time) { k.until.Store(t.UnixNano()) }

// Withdraw ends the trust in the key at once and in all that it signed.
func (k *Key) Withdraw() { k.until.Store(0) }

// Trusted tells whether the key counts at t.
func (k *Key) Trusted(t time.Time) bool { return t.UnixNano() < k.until.Load() }

// Current is the [Authenticator] of the configuration in force. Its zero value
// refuses every token. It is safe for concurrent use.
type Current struct{ set atomic.Pointer[Set] }

var _ Authenticator = (*Current)(nil)

// Replace puts set in force for all tokens from now on; what the one before
// remembered is forgotten with it.
func (c *Current) Replace(set *Set) { c.set.Store(set) }

// Authenticate asks the set in force.
func (c *Current) Authenticate(ctx context.Context, token string) (*access.Principal, error) {
	set := c.set.Load()
	if set == nil {
		return nil, Away("", 0, nil)
	}
	return set.Authenticate(ctx, token)
}

// Known asks the set in force whom the token proved before; see [Set.Known].
func (c *Current) Known(token string) *access.Principal {
	if set := c.set.Load(); set != nil {
		return set.Known(token)
	}
	return nil
}
