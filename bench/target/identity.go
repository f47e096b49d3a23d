package target

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Identity is the one caller of the benchmark, and whoever vouches for it.
type Identity struct {
	Issuer, Audience, Group, Approvers string

	JWKS  string // file of the issuer's public keys
	Token string // good for a day
	// Stranger is a token as good, of somebody who is not in Group; Approver that
	// of somebody in Approvers.
	Stranger, Approver string
}

const (
	keyID     = "bench-1"
	keyBits   = 2048
	tokenLife = 24 * time.Hour
)

// NewIdentity makes a key, writes its public half to dir and signs tokens
// with it: RS256, the commonest signature, and the claims that real issuers
// put into an access token.
func NewIdentity(dir string, now time.Time) (*Identity, error) {
	id := &Identity{
		Issuer: "https://issuer.bench.example", Audience: "sluice", Group: "ml-users", Approvers: "ml-approvers",
		JWKS: filepath.Join(dir, "jwks.json"),
	}
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: key.Public(), KeyID: keyID, Algorithm: string(jose.RS256), Use: "sig"},
	}})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(id.JWKS, keys, 0o644); err != nil {
		return nil, err
	}
	const caller, other = "7c1f2f0a-bench", "5b7e19d3-bench"
	if id.Token, err = id.sign(key, now, caller, "everyone", id.Group); err != nil {
		return nil, err
	}
	if id.Approver, err = id.sign(key, now, other, "everyone", id.Approvers); err != nil {
		return nil, err
	}
	id.Stranger, err = id.sign(key, now, caller, "everyone", "others")
	return id, err
}

func (id *Identity) sign(key *rsa.PrivateKey, now time.Time, subject string, groups ...string) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: keyID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("signer: %w", err)
	}
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: id.Issuer, Subject: subject, Audience: jwt.Audience{id.Audience},
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(tokenLife)), ID: "bench",
	}).Claims(map[string]any{
		"groups": groups,
		"name":   "Bench Mark", "email": "bench@example.com", "azp": "bench-client",
	}).Serialize()
}
