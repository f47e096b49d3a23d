package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/sluice-gateway/sluice/identity"
)

const (
	// maxKeys bounds the keys of one issuer; the largest public ones have ten.
	maxKeys = 64
	// maxTries bounds the keys that one signature is tried with.
	maxTries = 8
	// minRSA is the shortest modulus, in bits (RFC 7518 section 3.3). The
	// longest one is go-jose's (4096).
	minRSA = 2048
)

var (
	errKeys     = errors.New("the answer is not a JWKS")
	errManyKeys = errors.New("the JWKS holds more than 64 keys")
)

// key is one public key that an issuer publishes for signatures.
type key struct {
	id        string
	algorithm string // "" where the issuer leaves it open
	public    any
	print     string // the same for two publications of one key
	standing  *identity.Key
}

// parseKeys reads a JWKS (RFC 7517 section 5) and leaves out what signs no
// tokens or is not understood, as that section asks: encryption keys,
// symmetric and private ones, unknown types, keys too weak. A set without a key
// that is left is not an error: an issuer withdraws its last key that way.
func parseKeys(body []byte) ([]*key, error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil || set.Keys == nil {
		return nil, errKeys
	}
	if len(*set.Keys) > maxKeys {
		return nil, errManyKeys
	}
	var keys []*key
	seen := make(map[string]bool)
	for _, raw := range *set.Keys {
		if k := parseKey(raw); k != nil && !seen[k.print] {
			seen[k.print] = true
			keys = append(keys, k)
		}
	}
	return keys, nil
}

func parseKey(raw []byte) *key {
	var about struct {
		Use string   `json:"use"`
		Alg string   `json:"alg"`
		Ops []string `json:"key_ops"`
	}
	var jwk jose.JSONWebKey
	switch {
	case json.Unmarshal(raw, &about) != nil,
		about.Use != "" && about.Use != "sig",
		len(about.Ops) > 0 && !slices.Contains(about.Ops, "verify"),
		about.Alg != "" && !slices.Contains(algorithms, about.Alg),
		jwk.UnmarshalJSON(raw) != nil, !jwk.Valid(), !jwk.IsPublic():
		return nil
	}
	if k, ok := jwk.Key.(*rsa.PublicKey); ok && k.N.BitLen() < minRSA {
		return nil
	}
	thumb, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil || families(jwk.Key) == "" {
		return nil
	}
	return &key{
		id: jwk.KeyID, algorithm: about.Alg, public: jwk.Key,
		print: strings.Join([]string{jwk.KeyID, about.Alg, string(thumb)}, "\x00"),
	}
}

// families are the algorithms that a key can sign with. That the token's
// algorithm fits the key is what keeps a public RSA key from being taken for the
// secret of an HMAC (RFC 8725 section 2.1).
func families(public any) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return "RS256 RS384 RS512 PS256 PS384 PS512"
	case ed25519.PublicKey:
		return "EdDSA"
	case *ecdsa.PublicKey: // RFC 7518 section 3.4: one curve each
		switch k.Curve.Params().BitSize {
		case 256:
			return "ES256"
		case 384:
			return "ES384"
		case 521:
			return "ES512"
		}
	}
	return ""
}

func (k *key) fits(algorithm string) bool {
	if k.algorithm != "" {
		return k.algorithm == algorithm && slices.Contains(strings.Fields(families(k.public)), algorithm)
	}
	return slices.Contains(strings.Fields(families(k.public)), algorithm)
}

// ring is what an issuer published last; it is never written to.
type ring struct {
	keys  []*key
	until time.Time // not believed from then on
}

// candidates are the keys that a token may be signed with: those of its kid,
// and those that the issuer gave no kid (RFC 7515 section 4.1.4: it is a hint).
// settled tells that there is no need to ask the issuer for others.
func (r *ring) candidates(token *identity.Token) (fit []*key, settled bool) {
	for _, k := range r.keys {
		if token.KeyID != "" && k.id != "" && k.id != token.KeyID {
			continue
		}
		settled = settled || token.KeyID != "" && k.id == token.KeyID
		if k.fits(token.Algorithm) && len(fit) < maxTries {
			fit = append(fit, k)
		}
	}
	return fit, settled || len(fit) > 0
}

// follow makes the ring of what was fetched now: keys that were there before
// keep their standing, those that are gone lose it.
func follow(before *ring, keys []*key, now time.Time, stale time.Duration) (next *ring, added, withdrawn int) {
	next = &ring{keys: keys, until: now.Add(stale)}
	old := make(map[string]*identity.Key)
	if before != nil {
		for _, k := range before.keys {
			old[k.print] = k.standing
		}
	}
	for _, k := range keys {
		if k.standing = old[k.print]; k.standing == nil {
			k.standing = new(identity.Key)
			added++
		}
		k.standing.TrustUntil(next.until)
		delete(old, k.print)
	}
	for _, standing := range old {
		standing.Withdraw()
	}
	return next, added, len(old)
}
