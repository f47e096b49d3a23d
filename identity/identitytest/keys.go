package identitytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// Key is a signing key of an issuer.
type Key struct {
	ID        string
	Algorithm jose.SignatureAlgorithm
	private   crypto.Signer
}

// JWK is the key as an issuer publishes it.
func (k Key) JWK() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.ID, Algorithm: string(k.Algorithm), Use: "sig"}
}

// As is the same key under another name.
func (k Key) As(id string) Key {
	k.ID = id
	return k
}

// With is the same key for another algorithm.
func (k Key) With(algorithm jose.SignatureAlgorithm) Key {
	k.Algorithm = algorithm
	return k
}

// The keys of the suite. Making one takes up to a second, so each is made once
// for the whole test binary. Stranger is published by nobody.
var (
	RSA      = once("rsa", jose.RS256, func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	EC       = once("ec", jose.ES256, onCurve(elliptic.P256()))
	EC2      = once("ec2", jose.ES256, onCurve(elliptic.P256()))
	EC384    = once("ec384", jose.ES384, onCurve(elliptic.P384()))
	EC521    = once("ec521", jose.ES512, onCurve(elliptic.P521()))
	Ed       = once("ed", jose.EdDSA, edwards)
	Stranger = once("stranger", jose.ES256, onCurve(elliptic.P256()))
)

func onCurve(c elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(c, rand.Reader) }
}

func edwards() (crypto.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

// once makes the key when it is first asked for. Without randomness there is no
// test, so that the error cannot be handed to anybody useful: the zero Key then
// fails whoever signs with it.
func once(id string, algorithm jose.SignatureAlgorithm, generate func() (crypto.Signer, error)) func() Key {
	return sync.OnceValue(func() Key {
		private, err := generate()
		if err != nil {
			return Key{}
		}
		return Key{ID: id, Algorithm: algorithm, private: private}
	})
}
