package transit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token   = "hvs.the-token"
	wrapped = "vault:v1:8SDd3WHDOjf7mq69CyCqYjBXAiQQAVZRkFM13ok481zoCmHnSeDX9vyf7w=="
	rawKey  = "an-aes-256-key-of-32-bytes-long!"
)

// vault answers as the documented API does: POST /v1/transit/decrypt/NAME.
type vault struct {
	mu    sync.Mutex
	asked int
	// fail, if set, answers instead; times is how often, 0 is always.
	fail  http.HandlerFunc
	times int
	plain []byte
}

func (v *vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	if v.fail != nil && (v.times == 0 || v.asked <= v.times) {
		v.fail(w, r)
		return
	}
	var asked struct{ Ciphertext string }
	switch err := json.NewDecoder(r.Body).Decode(&asked); {
	case r.Header.Get("X-Vault-Token") != token || r.Header.Get("X-Vault-Request") != "true" || r.Header.Get("X-Vault-Namespace") != "team":
		problem(403, "permission denied")(w, r)
	case r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/v1/transit/"):
		problem(404, `no handler for route "`+r.URL.Path+`". route entry not found.`)(w, r)
	case r.URL.Path != "/v1/transit/decrypt/sluice":
		problem(400, "encryption key not found")(w, r)
	case err != nil || asked.Ciphertext != wrapped:
		problem(400, "invalid ciphertext: no prefix")(w, r)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"request_id": "1", "data": map[string]any{"plaintext": base64.StdEncoding.EncodeToString(v.plain)}})
	}
}

func problem(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string][]string{"errors": {text}})
	}
}

// open makes a KMS that asks v and waits for nothing.
func open(t *testing.T, v *vault, change func(*secret.Transit)) (*KMS, *[]time.Duration) {
	t.Helper()
	if v.plain == nil {
		v.plain = []byte(rawKey)
	}
	s := httptest.NewServer(v)
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := secret.Transit{Address: s.URL, Key: "sluice", Namespace: "team"}
	if err := cfg.Token.UnmarshalText([]byte("file:" + file)); err != nil {
		t.Fatal(err)
	}
	cfg.SetDefaults()
	if change != nil {
		change(&cfg)
	}
	if problems := cfg.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	by := &http.Transport{DisableKeepAlives: true}
	k, waits := New(cfg, by), new([]time.Duration)
	k.pause = func(ctx context.Context, d time.Duration) error {
		*waits = append(*waits, d)
		return ctx.Err()
	}
	return k, waits
}

func text(b secret.Bytes) string { return b.Text() }

func TestUnwrap(t *testing.T) {
	for name, v := range map[string]*vault{
		"a data key of the engine":        {},
		"a key file's text, encrypted":    {plain: []byte(base64.StdEncoding.EncodeToString([]byte(rawKey)) + "\n")},
		"sealed at first":                 {fail: problem(503, "Vault is sealed"), times: 4},
		"an answer that is broken off":    {fail: cut, times: 1},
		"busy, then behind, then failing": {fail: problem(429, "rate limit quota exceeded"), times: 2},
		"a replica that is behind":        {fail: problem(412, "required index state not present"), times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			k, waits := open(t, v, nil)
			key, err := k.Unwrap(t.Context(), wrapped)
			if err != nil || text(key) != rawKey {
				t.Fatalf("got %v, %v", key.Len(), err)
			}
			if len(*waits) != v.times || v.asked != v.times+1 {
				t.Errorf("waited %v, asked %d times", *waits, v.asked)
			}
		})
	}
}

func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"data":`)
}

// TestRefusals: what asking again does not change is asked once, and the error says
// what to do.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		vault  *vault
		change func(*secret.Transit)
		want   string
		asked  int
	}{
		"a token without the right": {&vault{}, func(c *secret.Transit) { c.Namespace = "" }, `says 403 ("permission denied"): the token is not valid any more, or its policy lacks update on transit/decrypt/sluice`, 1},
		"another mount":             {&vault{}, func(c *secret.Transit) { c.Mount = "other" }, "no transit engine is mounted at other", 1},
		"another key":               {&vault{}, func(c *secret.Transit) { c.Key = "slice" }, `says 400 ("encryption key not found"): what is wrapped was not wrapped by this key`, 1},
		"a redirect":                {&vault{fail: http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect).ServeHTTP}, nil, "the token is sent nowhere else", 1},
		"no JSON":                   {&vault{fail: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }}, nil, "holds no key of 32 bytes", 1},
		"a key that is too short":   {&vault{plain: []byte("short")}, nil, "holds no key of 32 bytes", 1},
		"no token":                  {&vault{}, func(c *secret.Transit) { c.Token = ref("file:/nowhere/token") }, "secrets.transit.token: ", 0},
		"sealed for good":           {&vault{fail: problem(503, "Vault is sealed")}, nil, `says 503 ("Vault is sealed"): it is sealed or in maintenance; unseal it (asked 5 times)`, 5},
		"failing for good":          {&vault{fail: problem(500, "internal error")}, nil, `says 500 ("internal error") (asked 5 times)`, 5},
		"words of any length":       {&vault{fail: problem(403, strings.Repeat("a\n", 9000))}, nil, "says 403 (", 1},
	} {
		t.Run(name, func(t *testing.T) {
			k, waits := open(t, c.vault, c.change)
			_, err := k.Unwrap(t.Context(), wrapped)
			if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 700 {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), token) || strings.Contains(err.Error(), wrapped) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("the error tells too much: %v", err)
			}
			if c.vault.asked != c.asked || len(*waits) != max(c.asked-1, 0) {
				t.Errorf("asked %d times, waited %v", c.vault.asked, *waits)
			}
			for _, w := range *waits {
				if w > most {
					t.Errorf("waited %v", *waits)
				}
			}
		})
	}
}

func ref(text string) (s access.Secret) {
	_ = s.UnmarshalText([]byte(text))
	return s
}

func TestWhatIsAwayIsAskedAgain(t *testing.T) {
	k, waits := open(t, &vault{}, func(c *secret.Transit) { c.Address = "http://127.0.0.1:1" })
	_, err := k.Unwrap(t.Context(), wrapped)
	if err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:1 does not answer; look at secrets.transit") || len(*waits) != attempts-1 {
		t.Errorf("got %v after %v", err, *waits)
	}
}

func TestAStartThatIsEndedAsksNoMore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v := &vault{fail: problem(503, "Vault is sealed")}
	k, _ := open(t, v, nil)
	k.pause = func(context.Context, time.Duration) error { cancel(); return ctx.Err() }
	if _, err := k.Unwrap(ctx, wrapped); !errors.Is(err, context.Canceled) || v.asked != 1 {
		t.Errorf("got %v, asked %d times", err, v.asked)
	}
	if err := pause(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestLoadKeysOfTheConfiguration(t *testing.T) {
	k, _ := open(t, &vault{}, nil)
	t.Setenv("SLUICE_WRAPPED", secret.Wrapped+wrapped)
	cfg := secret.Config{Key: ref("${SLUICE_WRAPPED}"), Transit: &k.cfg}
	if err := secret.CheckKeys(cfg); err != nil {
		t.Error(err)
	}
	ring, err := secret.LoadKeys(t.Context(), cfg, k)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := secret.NewKeyring(secret.NewBytes([]byte(rawKey)))
	if err != nil || plain.KeyID() != ring.KeyID() {
		t.Errorf("another key: %v", err)
	}
	cfg.Transit = nil
	if err := secret.CheckKeys(cfg); err == nil || !strings.Contains(err.Error(), "secrets.key: it is wrapped, and there is nothing to unwrap it; write secrets: { transit:") {
		t.Errorf("got %v", err)
	}
}

func TestTransitProblems(t *testing.T) {
	good := secret.Transit{Address: "https://vault:8200", Key: "sluice", Token: ref("file:token")}
	good.SetDefaults()
	for want, change := range map[string]func(*secret.Transit){
		"":                                     func(*secret.Transit) {},
		"address: must be https":               func(c *secret.Transit) { c.Address = "http://vault:8200" },
		"address: must be a URL":               func(c *secret.Transit) { c.Address = "vault:8200" },
		"key: must be the name":                func(c *secret.Transit) { c.Key = "../x" },
		"mount: must be where":                 func(c *secret.Transit) { c.Mount = "/transit" },
		"token: is missing; write file:PATH":   func(c *secret.Transit) { c.Token = access.Secret{} },
		"timeout: must be 1s to 1m0s":          func(c *secret.Transit) { c.Timeout = time.Hour },
		"mount: must be where the engine is m": func(c *secret.Transit) { c.Mount = "a/../sys" },
	} {
		c := good
		change(&c)
		got := ""
		for _, p := range c.Validate() {
			got += p.Path + ": " + p.Message
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
