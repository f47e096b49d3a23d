package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// lifetime is how long a token lives.
const lifetime = time.Hour

// Issuer makes the demo's tokens. It is safe for concurrent use.
type Issuer struct {
	url    string
	now    func() time.Time
	signer jose.Signer
	keys   jose.JSONWebKeySet

	devices *devices
}

// New makes an issuer whose "iss" is baseURL, as "http://127.0.0.1:8004", with
// a fresh ES256 key. now is the clock, time.Now if nil.
func New(baseURL string, now func() time.Time) (*Issuer, error) {
	if now == nil {
		now = time.Now
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public := jose.JSONWebKey{Key: private.Public(), Algorithm: string(jose.ES256), Use: "sig"}
	thumb, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	// A name of its own for each key: an issuer started again must not look as
	// if its key had stayed (RFC 7638 is the usual name).
	public.KeyID = base64.RawURLEncoding.EncodeToString(thumb)
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: public.KeyID}},
		(&jose.SignerOptions{}).WithType("at+jwt")) // RFC 9068 section 2.1
	if err != nil {
		return nil, err
	}
	return &Issuer{
		url: strings.TrimSuffix(baseURL, "/"), now: now, signer: signer, devices: newDevices(),
		keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}},
	}, nil
}

// URL is the issuer's "iss".
func (i *Issuer) URL() string { return i.url }

// Token returns a new token for one of [Names].
func (i *Issuer) Token(name string) (string, error) {
	in, known := groups[name]
	if !known {
		return "", fmt.Errorf("there is no %q in the demo; there are %s", name, strings.Join(Names(), ", "))
	}
	now := i.now()
	claims := map[string]any{
		"iss": i.url, "sub": name, "aud": Audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(lifetime).Unix(),
		"preferred_username": name, "client_id": client,
	}
	if name == CI {
		claims["client_id"] = CI // RFC 9068 section 2.2: client credentials
	} else {
		claims["groups"], claims["auth_time"] = in, now.Unix()
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := i.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
