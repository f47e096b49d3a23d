package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluice-gateway/sluice/identity"
)

// jwk is a key's JSON with fields put over it; nil takes one out.
func jwk(t *testing.T, key any, fields map[string]any) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: "k"})
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	if text, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func set(keys ...string) []byte { return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`) }

func curve(t *testing.T, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func modulus(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func TestParseKeys(t *testing.T) {
	p256, p384, p224 := curve(t, elliptic.P256()), curve(t, elliptic.P384()), curve(t, elliptic.P256())
	r2048, r1024 := modulus(t, 2048), modulus(t, 1024)
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := jwk(t, p256.Public(), nil)
	for name, c := range map[string]struct {
		keys []string
		want int
	}{
		"none":                       {nil, 0},
		"an elliptic key":            {[]string{good}, 1},
		"an RSA key":                 {[]string{jwk(t, r2048.Public(), nil)}, 1},
		"an Edwards key":             {[]string{jwk(t, ed, nil)}, 1},
		"for signatures":             {[]string{jwk(t, p256.Public(), map[string]any{"use": "sig"})}, 1},
		"for encryption":             {[]string{jwk(t, r2048.Public(), map[string]any{"use": "enc"})}, 0},
		"for an unknown use":         {[]string{jwk(t, r2048.Public(), map[string]any{"use": "tls"})}, 0},
		"to verify":                  {[]string{jwk(t, p256.Public(), map[string]any{"key_ops": []string{"verify"}})}, 1},
		"to wrap":                    {[]string{jwk(t, r2048.Public(), map[string]any{"key_ops": []string{"wrapKey"}})}, 0},
		"an encryption algorithm":    {[]string{jwk(t, r2048.Public(), map[string]any{"alg": "RSA-OAEP"})}, 0},
		"an HMAC algorithm":          {[]string{jwk(t, r2048.Public(), map[string]any{"alg": "HS256"})}, 0},
		"a symmetric key":            {[]string{`{"kty":"oct","k":"c2VjcmV0","kid":"k"}`}, 0},
		"a private key":              {[]string{jwk(t, p256, nil)}, 0},
		"an RSA key too short":       {[]string{jwk(t, r1024.Public(), nil)}, 0},
		"an RSA exponent of 1":       {[]string{jwk(t, r2048.Public(), map[string]any{"e": "AQ"})}, 0},
		"a point off the curve":      {[]string{jwk(t, p256.Public(), map[string]any{"x": strings.Repeat("A", 43)})}, 0},
		"a curve that is not taken":  {[]string{jwk(t, p224.Public(), map[string]any{"crv": "secp256k1"})}, 0},
		"an unknown type":            {[]string{`{"kty":"XYZ","kid":"k"}`}, 0},
		"no object":                  {[]string{`1`, `null`, `"k"`, `[]`}, 0},
		"a bad one beside a good":    {[]string{`{"kty":"RSA","n":"!!","e":"AQAB"}`, good}, 1},
		"the same twice":             {[]string{good, good}, 1},
		"two keys of one name":       {[]string{good, jwk(t, p384.Public(), nil)}, 2},
		"one key under two names":    {[]string{good, jwk(t, p256.Public(), map[string]any{"kid": "k2"})}, 2},
		"without a name":             {[]string{jwk(t, p256.Public(), map[string]any{"kid": nil})}, 1},
		"a name that is no text":     {[]string{jwk(t, p256.Public(), map[string]any{"kid": 1})}, 0},
		"the algorithm named by two": {[]string{strings.Replace(good, "{", `{"alg":"ES256","alg":"RS256",`, 1)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseKeys(set(c.keys...))
			if err != nil || len(got) != c.want {
				t.Errorf("got %d keys, %v, want %d", len(got), err, c.want)
			}
		})
	}
	many := make([]string, maxKeys+1)
	for i := range many {
		many[i] = jwk(t, p256.Public(), map[string]any{"kid": fmt.Sprint(i)})
	}
	for name, text := range map[string][]byte{
		"not JSON": []byte("<html>"), "no keys": []byte(`{}`), "keys null": []byte(`{"keys":null}`),
		"keys no list": []byte(`{"keys":{}}`), "a list": []byte(`[]`), "too many": set(many...),
		"keys twice": []byte(`{"keys":[],"keys":[]}`),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parseKeys(text); err == nil {
				t.Errorf("got %d keys", len(got))
			}
		})
	}
}

func TestKeysFitTheirAlgorithms(t *testing.T) {
	rsaKey, p256, p521 := modulus(t, 2048).Public(), curve(t, elliptic.P256()).Public(), curve(t, elliptic.P521()).Public()
	for name, c := range map[string]struct {
		public crypto.PublicKey
		named  string
		fits   string
	}{
		"RSA":             {rsaKey, "", "RS256 RS384 RS512 PS256 PS384 PS512"},
		"RSA for PS512":   {rsaKey, "PS512", "PS512"},
		"RSA for ES256":   {rsaKey, "ES256", ""},
		"P-256":           {p256, "", "ES256"},
		"P-256 for ES384": {p256, "ES384", ""},
		"P-521":           {p521, "", "ES512"},
		"Ed25519":         {ed25519.PublicKey(make([]byte, 32)), "", "EdDSA"},
		"a secret":        {[]byte("secret"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := &key{public: c.public, algorithm: c.named}
			var fit []string
			for _, algorithm := range append([]string{"none", "HS256", ""}, algorithms...) {
				if k.fits(algorithm) {
					fit = append(fit, algorithm)
				}
			}
			if got := strings.Join(fit, " "); got != c.fits {
				t.Errorf("fits %q, want %q", got, c.fits)
			}
		})
	}
}

func TestCandidates(t *testing.T) {
	p256, p384 := curve(t, elliptic.P256()).Public(), curve(t, elliptic.P384()).Public()
	a, b, nameless := &key{id: "a", public: p256}, &key{id: "b", public: p384}, &key{public: p256}
	crowd := make([]*key, 3*maxTries)
	for i := range crowd {
		crowd[i] = nameless
	}
	for name, c := range map[string]struct {
		keys           []*key
		kid, algorithm string
		want           int
		settled        bool
	}{
		"by name":                       {[]*key{a, b}, "a", "ES256", 1, true},
		"by name, another algorithm":    {[]*key{a, b}, "b", "ES256", 0, true},
		"unknown name":                  {[]*key{a, b}, "c", "ES256", 0, false},
		"unknown name, a nameless key":  {[]*key{a, nameless}, "c", "ES256", 1, true},
		"no name":                       {[]*key{a, b, nameless}, "", "ES256", 2, true},
		"no name, no such algorithm":    {[]*key{a, b}, "", "EdDSA", 0, false},
		"two of one name":               {[]*key{a, {id: "a", public: p256}}, "a", "ES256", 2, true},
		"a crowd is tried to its bound": {crowd, "", "ES256", maxTries, true},
		"no keys":                       {nil, "a", "ES256", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, settled := (&ring{keys: c.keys}).candidates(&identity.Token{KeyID: c.kid, Algorithm: c.algorithm})
			if len(got) != c.want || settled != c.settled {
				t.Errorf("got %d, %v, want %d, %v", len(got), settled, c.want, c.settled)
			}
		})
	}
}

func TestFollow(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	keysOf := func(prints ...string) (keys []*key) {
		for _, print := range prints {
			keys = append(keys, &key{print: print})
		}
		return keys
	}
	first, added, withdrawn := follow(nil, keysOf("a", "b"), now, time.Hour)
	if added != 2 || withdrawn != 0 {
		t.Errorf("at first %d added, %d withdrawn", added, withdrawn)
	}
	second, added, withdrawn := follow(first, keysOf("b", "c"), now.Add(time.Minute), time.Hour)
	if added != 1 || withdrawn != 1 {
		t.Errorf("then %d added, %d withdrawn", added, withdrawn)
	}
	if first.keys[0].standing.Trusted(now) {
		t.Error("the key that is gone is still trusted")
	}
	if first.keys[1].standing != second.keys[0].standing {
		t.Error("the key that stayed has lost what it signed")
	}
	if end := now.Add(time.Hour + time.Minute); !second.keys[0].standing.Trusted(end.Add(-1)) || second.keys[0].standing.Trusted(end) {
		t.Error("the key that stayed is not trusted for an hour from the last fetch")
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},null]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err != nil {
			return
		}
		for _, k := range keys {
			if families(k.public) == "" || k.fits("none") || k.fits("HS256") || k.fits("") {
				t.Errorf("took a key that signs nothing: %T", k.public)
			}
		}
	})
}
