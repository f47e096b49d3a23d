package login_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zalando/go-keyring"
	"golang.org/x/oauth2"

	"github.com/sluice-gateway/sluice/cmd/sluice/internal/login"
	"github.com/sluice-gateway/sluice/demo/issuer"
)

const (
	issuerURL = "http://127.0.0.1:8004"
	server    = "https://sluice.example:8003"
)

// direct asks a handler as if over the network, from this machine.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.RemoteAddr, r.Host = "127.0.0.1:50000", r.URL.Host
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// asking is a context whose requests go to a handler.
func asking(ctx context.Context, h http.Handler) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: direct{h}})
}

func demo(t *testing.T) *issuer.Issuer {
	t.Helper()
	i, err := issuer.New(issuerURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// says answers the code on the issuer's page.
func says(t *testing.T, h http.Handler, code, name string) {
	t.Helper()
	body := url.Values{"user_code": {code}, "name": {name}}.Encode()
	r := httptest.NewRequest(http.MethodPost, issuerURL+"/device", strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:50001"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("the page answered %d: %s", w.Code, w.Body)
	}
}

func TestALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := demo(t).Handler()
		var told login.Prompt
		got, err := login.Run(asking(t.Context(), h), server, login.Source{Issuer: issuerURL, ClientID: "sluice-demo", Scopes: []string{"openid"}}, func(p login.Prompt) error {
			told = p
			time.AfterFunc(3*time.Second, func() { says(t, h, p.Code, "carol") })
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if told.URL != issuerURL+"/device" || !strings.HasSuffix(told.Complete, told.Code) || time.Until(told.Expires) < 9*time.Minute {
			t.Errorf("told %+v", told)
		}
		if got.Server != server || got.Refresh == "" || subject(t, got.Access) != "carol" || got.TokenEndpoint != issuerURL+"/token" {
			t.Errorf("got %+v", got)
		}
	})
}

func subject(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	var claims struct{ Sub string }
	raw, err := decode(parts[1])
	if err == nil {
		err = json.Unmarshal(raw, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims.Sub
}

func TestHowALoginEnds(t *testing.T) {
	source := login.Source{Issuer: issuerURL, ClientID: "sluice-demo"}
	for name, c := range map[string]struct {
		source login.Source
		during func(t *testing.T, h http.Handler, p login.Prompt)
		want   string
	}{
		"refused":             {source, func(t *testing.T, h http.Handler, p login.Prompt) { says(t, h, p.Code, "") }, "was refused"},
		"nobody comes":        {source, func(*testing.T, http.Handler, login.Prompt) {}, "nobody entered the code in time"},
		"an unknown client":   {login.Source{Issuer: issuerURL, ClientID: "x"}, nil, `"invalid_client"`},
		"another issuer":      {login.Source{Issuer: "http://127.0.0.1:8005", ClientID: "sluice-demo"}, nil, "is not that issuer's discovery"},
		"an issuer on http":   {login.Source{Issuer: "http://issuer.example", ClientID: "x"}, nil, "is not https"},
		"a token over http":   {login.Source{Issuer: issuerURL, ClientID: "x", DeviceEndpoint: issuerURL + "/d", TokenEndpoint: "http://evil.example/token"}, nil, "is not https"},
		"endpoints elsewhere": {login.Source{Issuer: issuerURL, ClientID: "x", DeviceEndpoint: "file:///etc/passwd", TokenEndpoint: issuerURL}, nil, "is no URL"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := demo(t).Handler()
				_, err := login.Run(asking(t.Context(), h), server, c.source, func(p login.Prompt) error {
					c.during(t, h, p)
					return nil
				})
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			})
		})
	}
}

// TestSlowDown: a device that is told to ask less often does.
func TestSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Time
		mux := http.NewServeMux()
		mux.HandleFunc("/d", func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"device_code": "d", "user_code": "u", "verification_uri": issuerURL, "expires_in": 600, "interval": 1})
		})
		mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) {
			asked = append(asked, time.Now())
			w.Header().Set("Content-Type", "application/json")
			if len(asked) == 2 {
				_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "t", "token_type": "Bearer"})
				return
			}
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": "slow_down"})
		})
		source := login.Source{Issuer: issuerURL, ClientID: "c", DeviceEndpoint: issuerURL + "/d", TokenEndpoint: issuerURL + "/token"}
		if _, err := login.Run(asking(t.Context(), mux), server, source, func(login.Prompt) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if gap := asked[1].Sub(asked[0]); gap < 5*time.Second {
			t.Errorf("asked again after %v", gap)
		}
	})
}

func kept(t *testing.T) *login.Keep {
	t.Helper()
	return &login.Keep{Dir: filepath.Join(t.TempDir(), "sluice")}
}

func TestATokenIsKeptForOneServer(t *testing.T) {
	k := kept(t)
	where, err := k.Save(login.Token{Server: server, Access: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	about, err := os.Stat(where)
	if err != nil || about.Mode().Perm() != 0o600 {
		t.Errorf("the file has %v, %v", about.Mode(), err)
	}
	if folder, err := os.Stat(k.Dir); err != nil || folder.Mode().Perm() != 0o700 {
		t.Errorf("the folder has %v, %v", folder.Mode(), err)
	}
	if got, err := k.Load(server); err != nil || got.Access != "secret" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, other := range []string{"https://sluice.example:8004", "http://sluice.example:8003", "https://evil.example:8003", ""} {
		if got, err := k.Load(other); err != login.ErrNone {
			t.Errorf("for %q: %v, %v", other, got, err)
		}
	}
	if err := k.Delete(server); err != nil {
		t.Error(err)
	}
	if err := k.Delete(server); err != login.ErrNone {
		t.Errorf("twice: %v", err)
	}
}

func TestWhatIsNotTakenFromAFile(t *testing.T) {
	for name, spoil := range map[string]struct {
		do   func(path string) error
		want string
	}{
		"readable by others": {func(path string) error { return os.Chmod(path, 0o644) }, "can be read by others"},
		"of another server": {func(path string) error {
			return os.WriteFile(path, []byte(`{"server": "https://evil.example", "access_token": "x"}`), 0o600)
		}, "is no token"},
		"not JSON": {func(path string) error { return os.WriteFile(path, []byte("token"), 0o600) }, "is no token"},
		"empty":    {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "is no token"},
		"huge":     {func(path string) error { return os.Truncate(path, 2<<20) }, "is no token"},
	} {
		t.Run(name, func(t *testing.T) {
			k := kept(t)
			where, err := k.Save(login.Token{Server: server, Access: "secret"})
			if err != nil {
				t.Fatal(err)
			}
			if err := spoil.do(where); err != nil {
				t.Fatal(err)
			}
			if _, err := k.Load(server); err == nil || !strings.Contains(err.Error(), spoil.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestATokenIsRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := demo(t).Handler()
		ctx := asking(t.Context(), h)
		token, err := login.Run(ctx, server, login.Source{Issuer: issuerURL, ClientID: "sluice-demo"}, func(p login.Prompt) error {
			says(t, h, p.Code, "bob")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		k := kept(t)
		if _, err := k.Save(token); err != nil {
			t.Fatal(err)
		}
		if got, err := k.Fresh(ctx, server); err != nil || got != token.Access {
			t.Errorf("while it is good: %v", err)
		}
		time.Sleep(time.Until(token.Expires) - 10*time.Second)
		second, err := k.Fresh(ctx, server)
		if err != nil || second == token.Access || subject(t, second) != "bob" {
			t.Fatalf("at its end: %v", err)
		}
		if got, err := k.Fresh(ctx, server); err != nil || got != second {
			t.Errorf("the new one was not kept: %v", err)
		}
		time.Sleep(25 * time.Hour) // the refresh token has run out too
		if _, err := k.Fresh(ctx, server); err == nil || !strings.Contains(err.Error(), `run "sluice login" again`) {
			t.Errorf("got %v", err)
		}
		if _, err := k.Fresh(ctx, "https://other.example:1"); err != login.ErrNone {
			t.Errorf("for another server: %v", err)
		}
	})
}

func TestATokenThatCannotBeRefreshed(t *testing.T) {
	k := kept(t)
	gone := login.Token{Server: server, Access: "old", Expires: time.Now().Add(-time.Minute)}
	for name, refresh := range map[string]login.Token{
		"no refresh token": gone,
		"over http":        {Server: server, Access: "old", Expires: gone.Expires, Refresh: "r", TokenEndpoint: "http://evil.example/token"},
	} {
		if _, err := k.Save(refresh); err != nil {
			t.Fatal(err)
		}
		asked := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%s: the endpoint was asked", name) })
		if _, err := k.Fresh(asking(t.Context(), asked), server); err == nil || !strings.Contains(err.Error(), "has run out") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func decode(part string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(part) }

// TestTheKeyringComesFirst, and what cannot be kept there is in the file.
func TestTheKeyringComesFirst(t *testing.T) {
	keyring.MockInit()
	k := kept(t)
	k.Keyring = true
	where, err := k.Save(login.Token{Server: server, Access: "secret"})
	if err != nil || where != "the keyring" {
		t.Fatalf("kept in %s, %v", where, err)
	}
	if _, err := os.Stat(k.Dir); err == nil {
		t.Error("a file was made too")
	}
	if got, err := k.Load(server); err != nil || got.Access != "secret" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := k.Load("https://evil.example"); err != login.ErrNone {
		t.Errorf("for another server: %v", err)
	}
	if err := k.Delete(server); err != nil {
		t.Error(err)
	}
	if _, err := k.Load(server); err != login.ErrNone {
		t.Errorf("after the logout: %v", err)
	}
	keyring.MockInitWithError(errors.New("no keyring here"))
	if where, err = k.Save(login.Token{Server: server, Access: "secret"}); err != nil || where == "the keyring" {
		t.Errorf("without one: %s, %v", where, err)
	}
	if got, err := k.Load(server); err != nil || got.Access != "secret" {
		t.Errorf("got %v, %v", got, err)
	}
}
