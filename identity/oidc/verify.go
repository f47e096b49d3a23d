package oidc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/sluice-gateway/sluice/identity"
)

// newVerifier is go-oidc's verifier: signature through our keys, issuer, form
// of the claims. It checks one audience only, grants exp no skew and nbf five
// minutes (go-oidc v3.21 oidc/verify.go, Verify), so that both are left to us.
func newVerifier(cfg *Config) *goidc.IDTokenVerifier {
	return goidc.NewVerifier(cfg.Issuer, keySet{}, &goidc.Config{
		SupportedSigningAlgs: cfg.Algorithms, SkipClientIDCheck: true, SkipExpiryCheck: true,
	})
}

// attempt carries one verification through go-oidc to our keys and back.
type attempt struct {
	allowed []jose.SignatureAlgorithm
	keys    []*key
	signer  *key
}

type attemptKey struct{}

var errSignature = errors.New("the signature fits no key of the issuer")

// keySet checks a signature with the keys of the context's attempt.
type keySet struct{}

var _ goidc.KeySet = keySet{}

// VerifySignature returns the payload if one of the keys made the signature.
func (keySet) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return nil, errSignature
	}
	signed, err := jose.ParseSignedCompact(raw, a.allowed)
	if err != nil {
		return nil, errSignature
	}
	for _, k := range a.keys {
		if payload, err := signed.Verify(k.public); err == nil {
			a.signer = k
			return payload, nil
		}
	}
	return nil, errSignature
}

// Verify judges the token by the keys at hand.
func (p *Provider) Verify(ctx context.Context, token *identity.Token) (identity.Verified, error) {
	now := p.now()
	expires, err := p.times(token, now)
	if err == nil {
		err = p.kind(token)
	}
	if err != nil {
		return identity.Verified{}, err
	}
	signer, err := p.signature(ctx, token)
	if err != nil {
		return identity.Verified{}, err
	}
	if !signer.standing.Trusted(now) {
		return identity.Verified{}, unpublished() // withdrawn since Ready
	}
	if err := p.audience(token); err != nil {
		return identity.Verified{}, err
	}
	who, err := p.principal(token)
	if err != nil {
		return identity.Verified{}, err
	}
	who.Expires = expires
	return identity.Verified{Principal: who, Key: signer.standing}, nil
}

// signature has go-oidc check who signed. What it says is not passed on: it
// may quote the token.
func (p *Provider) signature(ctx context.Context, token *identity.Token) (*key, error) {
	r := p.ring.Load()
	if r == nil {
		return nil, p.away()
	}
	a := &attempt{allowed: p.allowed}
	a.keys, _ = r.candidates(token)
	verified, err := p.verifier.Verify(context.WithValue(ctx, attemptKey{}, a), token.Raw)
	switch {
	case a.signer == nil:
		p.hint()
		return nil, identity.Invalid("its signature does not fit: send it as the issuer made it", errSignature)
	case err != nil:
		return nil, identity.Invalid("its claims are not those of its issuer's tokens", nil)
	case verified.Issuer != token.Issuer || verified.Subject != token.Subject:
		// go-oidc takes the names of claims in any case, the last one winning.
		return nil, identity.Invalid("its claims can be read in two ways", nil)
	}
	return a.signer, nil
}

// times checks exp, nbf and iat (RFC 7519 sections 4.1.4 to 4.1.6) and returns
// when the proof ends, skew included. A token has to expire: one that does not
// could never be taken back.
func (p *Provider) times(token *identity.Token, now time.Time) (time.Time, error) {
	var at [3]time.Time
	for i, name := range []string{"exp", "nbf", "iat"} {
		var err error
		if at[i], err = token.Claims.Date(name); err != nil {
			return time.Time{}, identity.Invalid("its "+name+" is not a time", nil)
		}
	}
	expires := at[0].Add(p.cfg.Skew)
	switch {
	case at[0].IsZero():
		return time.Time{}, identity.Invalid("it never expires: ask the issuer for one that does", nil)
	case !now.Before(expires):
		return time.Time{}, identity.Expired()
	case now.Add(p.cfg.Skew).Before(at[1]):
		return time.Time{}, identity.Invalid("it is not valid yet: wait, or set the issuer's clock", nil)
	case now.Add(p.cfg.Skew).Before(at[2]):
		return time.Time{}, identity.Invalid("it was issued in the future: set the issuer's clock", nil)
	case at[0].Before(at[1]), at[0].Before(at[2]):
		return time.Time{}, identity.Invalid("it expires before it begins", nil)
	}
	return expires, nil
}

// audience checks that the token is meant for this gateway (RFC 7519 section
// 4.1.3, RFC 9068 section 4).
func (p *Provider) audience(token *identity.Token) error {
	audiences, err := token.Claims.Texts("aud")
	if err != nil {
		return identity.Invalid("its aud is neither text nor a list of texts", nil)
	}
	for _, one := range audiences {
		if slices.Contains(p.cfg.Audiences, one) {
			return nil
		}
	}
	return identity.Invalid(fmt.Sprintf("it is not for this gateway: ask the issuer for one with the audience %q",
		strings.Join(p.cfg.Audiences, `" or "`)), nil)
}
