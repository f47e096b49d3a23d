package identitytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384 and SHA-512 for crypto.Hash.New
	"encoding/base64"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

var hashes = map[jose.SignatureAlgorithm]crypto.Hash{
	jose.RS256: crypto.SHA256, jose.PS256: crypto.SHA256, jose.ES256: crypto.SHA256,
	jose.RS384: crypto.SHA384, jose.PS384: crypto.SHA384, jose.ES384: crypto.SHA384,
	jose.RS512: crypto.SHA512, jose.PS512: crypto.SHA512, jose.ES512: crypto.SHA512,
}

// SignText signs any header and payload, well formed or not, with the key's
// algorithm. It is written out here because a library makes none of the
// tokens that a stranger would.
func SignText(t testing.TB, k Key, header, payload []byte) string {
	t.Helper()
	input := join(header, payload)
	signature, err := signature(k, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// MAC signs with HMAC-SHA-256 under secret.
func MAC(secret, header, payload []byte) string {
	input := join(header, payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func join(header, payload []byte) string {
	return base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
}

func signature(k Key, input []byte) ([]byte, error) {
	if private, ok := k.private.(ed25519.PrivateKey); ok {
		return ed25519.Sign(private, input), nil
	}
	kind := hashes[k.Algorithm]
	h := kind.New()
	h.Write(input)
	sum := h.Sum(nil)
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		return ecSignature(private, sum)
	case *rsa.PrivateKey:
		if k.Algorithm[0] == 'P' {
			return rsa.SignPSS(rand.Reader, private, kind, sum, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(rand.Reader, private, kind, sum)
	}
	return nil, jose.ErrUnsupportedKeyType
}

// ecSignature is R and S at full length, one after the other (RFC 7518 section
// 3.4).
func ecSignature(private *ecdsa.PrivateKey, sum []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, private, sum)
	if err != nil {
		return nil, err
	}
	size := (private.Curve.Params().BitSize + 7) / 8
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out, nil
}
