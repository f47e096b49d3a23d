package oidc_test

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/identity"
	"github.com/sluice-gateway/sluice/identity/identitytest"
	"github.com/sluice-gateway/sluice/identity/oidc"
)

// roundTrip is a transport of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// handled answers by a handler, without a socket.
func handled(h http.HandlerFunc) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		h(w, r)
		return w.Result(), nil
	}
}

// ask judges a good token of issuer by a provider of cfg, alone in its set.
func ask(t *testing.T, cfg oidc.Config, options oidc.Options, issuer *identitytest.Issuer) error {
	t.Helper()
	set, err := identity.NewSet([]identity.Source{start(t, cfg, options).Source()}, identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = set.Authenticate(t.Context(), issuer.Token(t, identitytest.EC(), nil))
	return err
}

func TestWhatAnIssuerMayNotAnswer(t *testing.T) {
	const discovery = "/.well-known/openid-configuration"
	document := func(issuer, keys string) string { return `{"issuer":"` + issuer + `","jwks_uri":"` + keys + `"}` }
	good := document(identitytest.URL, identitytest.URL+"/keys")
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		log    string
	}{
		"another issuer": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(document("https://evil.test", identitytest.URL+"/keys")))
		}, "did not match"},
		"a slash more": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(document(identitytest.URL+"/", identitytest.URL+"/keys")))
		}, "did not match"},
		"keys over http": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(document(identitytest.URL, "http://issuer.test/keys")))
		}, "https://"},
		"keys over http on loopback": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(document(identitytest.URL, "http://127.0.0.1/keys")))
		}, "not https"},
		"keys in a file": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(document(identitytest.URL, "file:///etc/passwd")))
		}, "must be a URL"},
		"no keys":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(document(identitytest.URL, ""))) }, "must be a URL"},
		"an error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "500"},
		"no JSON":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "discovery"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://issuer.test/x", http.StatusFound)
		}, "not https"},
		"redirects for ever": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		}, "too many redirects"},
		"a flood": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2<<20)) }, "larger than 1 MiB"},
		"keys: an error": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == discovery {
				_, _ = w.Write([]byte(good))
				return
			}
			w.WriteHeader(http.StatusNotFound)
		}, "404"},
		"keys: a flood": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == discovery {
				_, _ = w.Write([]byte(good))
				return
			}
			_, _ = w.Write(make([]byte, 2<<20))
		}, "larger than 1 MiB"},
		"keys: no set": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == discovery {
				_, _ = w.Write([]byte(good))
				return
			}
			_, _ = w.Write([]byte(`{"error":"no"}`))
		}, "not a JWKS"},
	} {
		t.Run(name, func(t *testing.T) {
			k := identitytest.EC()
			synctest.Test(t, func(t *testing.T) {
				issuer := identitytest.NewIssuer(t, identitytest.URL, k)
				var said strings.Builder
				err := ask(t, config(identitytest.Setup{Issuer: issuer, Name: "corp"}), oidc.Options{
					Transport: handled(func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Content-Type", "application/json")
						c.answer(w, r)
					}),
					Logger: slog.New(slog.NewTextHandler(&said, nil)),
				}, issuer)
				e, ok := access.AsError(err)
				if !ok || e.Reason != access.ReasonIssuerAway || e.Kind != access.Unavailable {
					t.Errorf("got %v", err)
				}
				if synctest.Wait(); !strings.Contains(said.String(), c.log) {
					t.Errorf("the log says %.500s, want %q", said.String(), c.log)
				}
			})
		})
	}
}

func TestKeysFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	issuer := identitytest.NewIssuer(t, "https://nowhere.test", identitytest.EC())
	recorder := httptest.NewRecorder()
	issuer.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/keys", nil))
	if err := os.WriteFile(path, recorder.Body.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		location oidc.Location
		away     bool
	}{
		"there":     {oidc.Location("file:" + path), false},
		"not there": {oidc.Location("file:" + path + "x"), true},
		"a folder":  {oidc.Location("file:" + filepath.Dir(path)), true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(identitytest.Setup{Issuer: issuer, Name: "corp"})
			cfg.JWKS = c.location
			err := ask(t, cfg, oidc.Options{}, issuer)
			if e, ok := access.AsError(err); c.away && (!ok || e.Reason != access.ReasonIssuerAway) || !c.away && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestOverTLS goes over real sockets: the certificate's authority is believed
// where it is configured, and nowhere else.
func TestOverTLS(t *testing.T) {
	issuer := identitytest.NewIssuer(t, "", identitytest.EC())
	server := httptest.NewUnstartedServer(issuer)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the refused handshake is wanted
	server.StartTLS()
	defer server.Close()
	issuer.URL = server.URL
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(identitytest.Setup{Issuer: issuer, Name: "corp"})
	if e, ok := access.AsError(ask(t, cfg, oidc.Options{}, issuer)); !ok || e.Reason != access.ReasonIssuerAway {
		t.Errorf("an unknown authority: got %v", e)
	}
	cfg.CA = access.File(ca)
	if err := ask(t, cfg, oidc.Options{}, issuer); err != nil {
		t.Error(err)
	}
	cfg.JWKS = oidc.Location(server.URL + "/keys")
	if err := ask(t, cfg, oidc.Options{}, issuer); err != nil {
		t.Errorf("with a JWKS by URL: %v", err)
	}
	for name, path := range map[string]string{"no such file": ca + "x", "no certificate": "fetch_test.go"} {
		cfg.CA = access.File(path)
		if _, err := oidc.New(t.Context(), cfg, oidc.Options{}); err == nil || !strings.Contains(err.Error(), "ca: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestDiscoveryIsFollowed moves the keys while the provider runs.
func TestDiscoveryIsFollowed(t *testing.T) {
	k := identitytest.EC()
	synctest.Test(t, func(t *testing.T) {
		issuer := identitytest.NewIssuer(t, identitytest.URL, k)
		var place atomic.Value
		place.Store("/keys")
		transport := handled(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			switch r.URL.Path {
			case "/.well-known/openid-configuration":
				_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer.URL, "jwks_uri": issuer.URL + place.Load().(string)})
			case place.Load():
				r.URL.Path = "/keys"
				issuer.ServeHTTP(w, r)
			default:
				w.WriteHeader(http.StatusGone)
			}
		})
		p := start(t, config(identitytest.Setup{Issuer: issuer, Name: "corp"}), oidc.Options{Transport: transport})
		synctest.Wait()
		place.Store("/moved")
		time.Sleep(2 * identitytest.Stale)
		set, err := identity.NewSet([]identity.Source{p.Source()}, identity.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := set.Authenticate(t.Context(), issuer.Token(t, k, nil)); err != nil {
			t.Error(err)
		}
	})
}
