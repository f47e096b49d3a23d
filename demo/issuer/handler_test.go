package issuer_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/demo/issuer"
)

const base = "http://127.0.0.1:8004"

func made(t *testing.T) *issuer.Issuer {
	t.Helper()
	i, err := issuer.New(base+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// call sends a request from a peer to the issuer's handler.
func call(t *testing.T, from *issuer.Issuer, method, target, body string, change func(*http.Request)) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, base+target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:50000"
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	from.Handler().ServeHTTP(w, r)
	var answer map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &answer) // the mux's own errors are text
	if strings.Contains(w.Body.String(), "access_token") && w.Header().Get("Cache-Control") != "no-store" {
		t.Error("a token may be kept by a cache on the way")
	}
	return w.Code, answer
}

func TestDiscovery(t *testing.T) {
	from := made(t)
	code, about := call(t, from, http.MethodGet, "/.well-known/openid-configuration", "", nil)
	if code != http.StatusOK || about["issuer"] != base || from.URL() != base {
		t.Fatalf("got %d %v", code, about)
	}
	place, err := url.Parse(about["jwks_uri"].(string))
	if err != nil {
		t.Fatal(err)
	}
	code, keys := call(t, from, http.MethodGet, place.Path, "", nil)
	list, ok := keys["keys"].([]any)
	if code != http.StatusOK || !ok || len(list) != 1 {
		t.Fatalf("got %d %v", code, keys)
	}
	for name, want := range map[string]any{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "d": nil} {
		if got := list[0].(map[string]any)[name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

func TestEachStartHasItsOwnKey(t *testing.T) {
	_, first := call(t, made(t), http.MethodGet, "/jwks", "", nil)
	_, second := call(t, made(t), http.MethodGet, "/jwks", "", nil)
	id := func(set map[string]any) any { return set["keys"].([]any)[0].(map[string]any)["kid"] }
	if id(first) == id(second) {
		t.Errorf("two keys are named %v", id(first))
	}
}

func TestTokenEndpoint(t *testing.T) {
	grant := "grant_type=client_credentials"
	basic := func(id string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(id, "anything") }
	}
	for name, c := range map[string]struct {
		body   string
		change func(*http.Request)
		code   int
		wrong  string
	}{
		"ci in the form":      {grant + "&client_id=ci&client_secret=x", nil, 200, ""},
		"ci without a secret": {grant + "&client_id=ci", nil, 200, ""},
		"ci by basic":         {grant, basic("ci"), 200, ""},
		"alice is no client":  {grant + "&client_id=alice", nil, 401, "invalid_client"},
		"nobody":              {grant, nil, 401, "invalid_client"},
		"basic goes first":    {grant + "&client_id=ci", basic("alice"), 401, "invalid_client"},
		"another grant":       {"grant_type=password&username=alice", nil, 400, "unsupported_grant_type"},
		"no grant":            {"client_id=ci", nil, 400, "unsupported_grant_type"},
		"a form too large":    {grant + "&client_id=ci&x=" + strings.Repeat("x", 8<<10), nil, 400, "unsupported_grant_type"},
		"in the query": {"x=1", func(r *http.Request) {
			r.URL.RawQuery = grant + "&client_id=ci"
		}, 400, "unsupported_grant_type"},
	} {
		t.Run(name, func(t *testing.T) {
			code, answer := call(t, made(t), http.MethodPost, "/token", c.body, c.change)
			if code != c.code || c.wrong != "" && answer["error"] != c.wrong || c.wrong == "" && answer["token_type"] != "Bearer" {
				t.Errorf("got %d %v", code, answer)
			}
		})
	}
}

func TestOnlyThisMachineAndNoWebPage(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	peer := func(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
	for name, c := range map[string]struct {
		change func(*http.Request)
		code   int
	}{
		"as it is":             {nil, 200},
		"localhost":            {host("localhost:8004"), 200},
		"over IPv6":            {host("[::1]:8004"), 200},
		"IPv6 peer":            {peer("[::1]:1"), 200},
		"mapped peer":          {peer("[::ffff:127.0.0.1]:1"), 200},
		"typed into a browser": {header("Sec-Fetch-Site", "none"), 200},
		"another machine":      {peer("192.0.2.1:1"), 403},
		"no peer":              {peer(""), 403},
		"rebound name":         {host("evil.test:8004"), 403},
		"rebound, no port":     {host("evil.test"), 403},
		"like localhost":       {host("localhost.evil.test"), 403},
		"no host":              {host(""), 403},
		"from a page":          {header("Origin", "https://evil.test"), 403},
		"from a local page":    {header("Origin", "http://127.0.0.1:9999"), 403},
		"from no page":         {header("Origin", "null"), 403},
		"across sites":         {header("Sec-Fetch-Site", "cross-site"), 403},
		"of the same site":     {header("Sec-Fetch-Site", "same-site"), 403},
	} {
		t.Run(name, func(t *testing.T) {
			code, answer := call(t, made(t), http.MethodPost, "/demo/token?name=alice", "", c.change)
			if _, token := answer["access_token"]; code != c.code || token != (c.code == 200) {
				t.Errorf("got %d %v", code, answer)
			}
		})
	}
}

func TestWhatIsNotServed(t *testing.T) {
	for name, c := range map[string]struct {
		method, target string
		code           int
	}{
		"a token by GET":    {http.MethodGet, "/demo/token?name=alice", 405},
		"nobody":            {http.MethodPost, "/demo/token", 400},
		"somebody else":     {http.MethodPost, "/demo/token?name=mallory", 400},
		"another case":      {http.MethodPost, "/demo/token?name=Alice", 400},
		"another path":      {http.MethodGet, "/", 404},
		"an authorize page": {http.MethodGet, "/authorize", 404},
	} {
		t.Run(name, func(t *testing.T) {
			if code, answer := call(t, made(t), c.method, c.target, "", nil); code != c.code {
				t.Errorf("got %d %v, want %d", code, answer, c.code)
			}
		})
	}
}

func TestFetchTokenSaysWhatToDo(t *testing.T) {
	_, server := serve(t)
	at := server.Listener.Addr().String()
	stranger := httptest.NewServer(http.NotFoundHandler())
	defer stranger.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct{ addr, name, want string }{
		"unknown name":    {at, "mallory", "there are alice, bob, carol, ci, dana"},
		"nobody there":    {gone.Listener.Addr().String(), "alice", "sluice demo"},
		"another server":  {stranger.URL, "alice", "is not the demo's issuer"},
		"another machine": {"192.0.2.1:8004", "alice", "on loopback only"},
		"a name":          {"issuer.test:8004", "alice", "on loopback only"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := issuer.FetchToken(t.Context(), c.addr, c.name); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	for _, addr := range []string{at, server.URL, server.URL + "/", at[strings.LastIndex(at, ":"):]} {
		if token, err := issuer.FetchToken(t.Context(), addr, "alice"); err != nil || strings.Count(token, ".") != 2 {
			t.Errorf("%s: got %.10q, %v", addr, token, err)
		}
	}
}

func TestTokensFollowTheClock(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	past := func() time.Time { return time.Now().Add(-2 * time.Hour) }
	from, err := issuer.New("http://"+server.Listener.Addr().String(), past)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = from.Handler()
	server.Start()
	defer server.Close()
	token, err := from.Token("bob")
	if err != nil {
		t.Fatal(err)
	}
	_, err = trust(t, from).Authenticate(t.Context(), token)
	if e, ok := access.AsError(err); !ok || e.Reason != access.ReasonTokenExpired {
		t.Errorf("got %v", err)
	}
}
