package identitytest

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What the providers under test are configured with.
const (
	Audience = "sluice"
	Subject  = "alice"
	Skew     = 30 * time.Second
	Refresh  = 5 * time.Minute
	Stale    = 20 * time.Minute
)

var errDown = errors.New("connection refused")

// Issuer is an OpenID Connect issuer without a socket: it is an
// [http.RoundTripper] that answers for its own URL. It is safe for concurrent
// use.
type Issuer struct {
	URL string
	// Down makes requests fail, and Hang makes them wait until they are
	// given up.
	Down, Hang atomic.Bool
	// Fetches counts the requests for the JWKS.
	Fetches atomic.Int64

	mu   sync.Mutex
	jwks []byte
}

// NewIssuer makes an issuer that publishes keys.
func NewIssuer(t testing.TB, url string, keys ...Key) *Issuer {
	t.Helper()
	i := &Issuer{URL: url}
	i.Publish(t, keys...)
	return i
}

// Publish replaces the keys in force.
func (i *Issuer) Publish(t testing.TB, keys ...Key) {
	t.Helper()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, k.JWK())
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	i.PublishText(text)
}

// PublishText replaces the text of the JWKS.
func (i *Issuer) PublishText(text []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.jwks = text
}

// RoundTrip answers discovery and the JWKS.
func (i *Issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	if i.Hang.Load() {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if i.Down.Load() {
		return nil, errDown
	}
	recorder := httptest.NewRecorder()
	i.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

// ServeHTTP answers discovery and the JWKS.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	case "/keys":
		i.Fetches.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		_, _ = w.Write(i.jwks)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// Claims are those of a good access token that lives an hour, with more put
// over them; a nil value takes a claim out.
func (i *Issuer) Claims(more map[string]any) map[string]any {
	now := time.Now()
	return merge(map[string]any{
		"iss": i.URL, "sub": Subject, "aud": Audience, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}, more)
}

// Token is a good access token, with more put over its claims.
func (i *Issuer) Token(t testing.TB, k Key, more map[string]any) string {
	t.Helper()
	return Sign(t, k, nil, i.Claims(more))
}

// Sign makes a token of claims, with header put over the usual one.
func Sign(t testing.TB, k Key, header, claims map[string]any) string {
	t.Helper()
	head := merge(map[string]any{"alg": k.Algorithm, "kid": k.ID, "typ": "at+jwt"}, header)
	return SignText(t, k, encode(t, head), encode(t, claims))
}

func merge(base, more map[string]any) map[string]any {
	all := maps.Clone(base)
	maps.Copy(all, more)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

func encode(t testing.TB, what any) []byte {
	t.Helper()
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
