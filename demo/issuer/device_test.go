package issuer_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/demo/issuer"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// clocked is an issuer whose time the test drives.
func clocked(t *testing.T) (*issuer.Issuer, *time.Time) {
	t.Helper()
	now := time.Now()
	i, err := issuer.New(base, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return i, &now
}

func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

// begun begins a login and returns the device's code and the person's.
func begun(t *testing.T, i *issuer.Issuer) (device, user string) {
	t.Helper()
	code, a := call(t, i, http.MethodPost, "/device_authorization", form("client_id", "sluice-demo", "scope", "openid"), nil)
	if code != http.StatusOK || a["verification_uri"] != base+"/device" || a["interval"] != 1.0 || a["expires_in"] != 600.0 {
		t.Fatalf("got %d %v", code, a)
	}
	if want := base + "/device?user_code=" + a["user_code"].(string); a["verification_uri_complete"] != want {
		t.Errorf("complete is %v", a["verification_uri_complete"])
	}
	return a["device_code"].(string), a["user_code"].(string)
}

func polled(t *testing.T, i *issuer.Issuer, device string) map[string]any {
	t.Helper()
	_, a := call(t, i, http.MethodPost, "/token", form("grant_type", deviceGrant, "device_code", device, "client_id", "sluice-demo"), nil)
	return a
}

func said(t *testing.T, i *issuer.Issuer, user, name string) int {
	t.Helper()
	code, _ := call(t, i, http.MethodPost, "/device", form("user_code", user, "name", name), nil)
	return code
}

func TestDeviceFlow(t *testing.T) {
	i, now := clocked(t)
	device, user := begun(t, i)
	if a := polled(t, i, device); a["error"] != "authorization_pending" {
		t.Fatalf("before anybody agreed: %v", a)
	}
	if a := polled(t, i, device); a["error"] != "slow_down" {
		t.Fatalf("too soon again: %v", a)
	}
	if code := said(t, i, " "+strings.ToLower(user), "carol"); code != http.StatusOK {
		t.Fatalf("carol's word: %d", code)
	}
	*now = now.Add(7 * time.Second)
	a := polled(t, i, device)
	if a["access_token"] == nil || a["refresh_token"] == nil {
		t.Fatalf("got %v", a)
	}
	if again := polled(t, i, device); again["error"] != "invalid_grant" {
		t.Errorf("the code was good for twice: %v", again)
	}
	if code := said(t, i, user, "alice"); code != http.StatusBadRequest {
		t.Errorf("the person's code was good for twice: %d", code)
	}
	refreshed := form("grant_type", "refresh_token", "refresh_token", a["refresh_token"].(string), "client_id", "sluice-demo")
	if _, fresh := call(t, i, http.MethodPost, "/token", refreshed, nil); fresh["access_token"] == nil || fresh["refresh_token"] == a["refresh_token"] {
		t.Errorf("refreshed: %v", fresh)
	}
	if _, twice := call(t, i, http.MethodPost, "/token", refreshed, nil); twice["error"] != "invalid_grant" {
		t.Errorf("a refresh token was good for twice: %v", twice)
	}
}

func TestHowALoginFails(t *testing.T) {
	i, now := clocked(t)
	refused, user := begun(t, i)
	if code := said(t, i, user, ""); code != http.StatusOK {
		t.Errorf("refusing: %d", code)
	}
	if a := polled(t, i, refused); a["error"] != "access_denied" {
		t.Errorf("refused: %v", a)
	}
	late, user := begun(t, i)
	*now = now.Add(11 * time.Minute)
	if a := polled(t, i, late); a["error"] != "expired_token" {
		t.Errorf("late: %v", a)
	}
	if code := said(t, i, user, "alice"); code != http.StatusBadRequest {
		t.Errorf("agreed too late: %d", code)
	}
	device, user := begun(t, i)
	for _, name := range []string{"ci", "mallory", "Alice"} {
		if code := said(t, i, user, name); code != http.StatusBadRequest {
			t.Errorf("as %s: %d", name, code)
		}
	}
	if code := said(t, i, "", "alice"); code != http.StatusBadRequest {
		t.Errorf("no code: %d", code)
	}
	for what, body := range map[string]string{
		"no client":      form("grant_type", deviceGrant, "device_code", device),
		"another client": form("grant_type", deviceGrant, "device_code", device, "client_id", "ci"),
		"refresh as ci":  form("grant_type", "refresh_token", "refresh_token", "x", "client_id", "ci"),
	} {
		if code, a := call(t, i, http.MethodPost, "/token", body, nil); code != http.StatusUnauthorized {
			t.Errorf("%s: %d %v", what, code, a)
		}
	}
	if code, _ := call(t, i, http.MethodPost, "/device_authorization", form("client_id", "x"), nil); code != http.StatusUnauthorized {
		t.Errorf("a stranger's login began: %d", code)
	}
}

func TestLoginsAreBounded(t *testing.T) {
	i, now := clocked(t)
	body := form("client_id", "sluice-demo")
	for range 1000 {
		call(t, i, http.MethodPost, "/device_authorization", body, nil)
	}
	if code, _ := call(t, i, http.MethodPost, "/device_authorization", body, nil); code != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", code)
	}
	*now = now.Add(time.Hour)
	begun(t, i)
}

func TestOnlyItsOwnPageMayAgree(t *testing.T) {
	for name, c := range map[string]struct {
		origin, site string
		code         int
	}{
		"the page itself":        {base, "same-origin", 200},
		"an old browser":         {base, "", 200},
		"a page elsewhere":       {"https://evil.test", "cross-site", 403},
		"another port":           {"http://127.0.0.1:9999", "same-site", 403},
		"a page without a place": {"null", "cross-site", 403},
		"lying about itself":     {base, "cross-site", 403},
	} {
		t.Run(name, func(t *testing.T) {
			i, _ := clocked(t)
			_, user := begun(t, i)
			code, _ := call(t, i, http.MethodPost, "/device", form("user_code", user, "name", "alice"), func(r *http.Request) {
				r.Header.Set("Origin", c.origin)
				if c.site != "" {
					r.Header.Set("Sec-Fetch-Site", c.site)
				}
			})
			if code != c.code {
				t.Errorf("got %d, want %d", code, c.code)
			}
		})
	}
	i, _ := clocked(t)
	if code, _ := call(t, i, http.MethodPost, "/token", form("grant_type", deviceGrant), func(r *http.Request) { r.Header.Set("Origin", base) }); code != http.StatusForbidden {
		t.Errorf("a page got at the token endpoint: %d", code)
	}
}

func TestThePageShowsWhatIsInTheLink(t *testing.T) {
	i, _ := clocked(t)
	w := page(t, i, "/device?user_code="+url.QueryEscape(`"><script>alert(1)</script>`))
	text := w.Body.String()
	if !strings.Contains(text, `value="carol"`) || strings.Contains(text, `value="ci"`) || strings.Contains(text, "<script>") {
		t.Errorf("got %s", text)
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("policy %q", policy)
	}
}

func page(t *testing.T, i *issuer.Issuer, target string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, base+target, nil)
	r.RemoteAddr = "127.0.0.1:50000"
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, r)
	return w
}
