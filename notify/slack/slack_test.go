package slack_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/notify"
	"github.com/sluice-gateway/sluice/notify/slack"
	"github.com/sluice-gateway/sluice/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func secret(t *testing.T, name, value string) (s access.Secret) {
	t.Helper()
	t.Setenv(name, value)
	if err := s.UnmarshalText([]byte("${" + name + "}")); err != nil {
		t.Fatal(err)
	}
	return s
}

// received is an HTTP server that remembers what was posted to it.
type received struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	answer int
}

func receive(t *testing.T) *received {
	t.Helper()
	r := &received{answer: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies = append(r.bodies, req.URL.Path+" "+string(body))
		w.WriteHeader(r.answer)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *received) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bodies) == 0 {
		return ""
	}
	return r.bodies[len(r.bodies)-1]
}

func client(t *testing.T) *http.Client {
	t.Helper()
	c := notify.Client()
	t.Cleanup(c.CloseIdleConnections)
	return c
}

var message = notify.Message{
	ID: "01a", Title: "alice <!channel> asks to unload prod-simple", Text: "Reason: <https://evil.example|click> *now*", Link: "https://sluice.example/approvals/r1",
	Notification: access.Notification{Event: access.EventRequested, Request: "r1"},
}

func TestSend(t *testing.T) {
	for name, c := range map[string]struct {
		signing string
		change  func(*notify.Message)
		buttons []string
	}{
		"with buttons":       {"hunter3", nil, []string{"Approve r1", "Deny r1", "Open https://sluice.example/approvals/r1"}},
		"without the secret": {"", nil, []string{"Open https://sluice.example/approvals/r1"}},
		"what is decided":    {"hunter3", func(m *notify.Message) { m.Event = access.EventApproved }, []string{"Open https://sluice.example/approvals/r1"}},
		"without a page":     {"", func(m *notify.Message) { m.Link = "" }, nil},
		"a long one": {"", func(m *notify.Message) {
			m.Link, m.Text, m.Title = "", strings.Repeat("ü", 4000), strings.Repeat("ü", 400)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			web := receive(t)
			cfg := notify.SlackConfig{URL: secret(t, "SLUICE_TEST_URL", web.URL+"/hunter2")}
			if c.signing != "" {
				cfg.SigningSecret = secret(t, "SLUICE_TEST_SIGNING", c.signing)
			}
			m := message
			if c.change != nil {
				c.change(&m)
			}
			if err := slack.New(cfg, client(t)).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			checkMessage(t, web.last(), m, c.buttons)
		})
	}
}

// checkMessage holds a message to what Slack takes, and to what callers wrote not
// being read as formatting.
func checkMessage(t *testing.T, posted string, m notify.Message, buttons []string) {
	t.Helper()
	var got struct {
		Text   string
		Blocks []struct {
			Type     string
			Text     *struct{ Type, Text string }
			Elements []struct {
				Text       struct{ Type, Text string }
				Value, URL string
			}
		}
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(posted, "/hunter2 ")), &got); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(got.Text, "<>") {
		t.Errorf("text with markup: %s", got.Text)
	}
	var shown []string
	for _, b := range got.Blocks {
		if b.Text != nil && (b.Text.Type != "plain_text" || b.Type == "header" && len([]rune(b.Text.Text)) > 150 || len([]rune(b.Text.Text)) > 3000) {
			t.Errorf("block %+v", b.Text)
		}
		for _, e := range b.Elements {
			shown = append(shown, e.Text.Text+" "+e.Value+e.URL)
		}
	}
	if strings.Join(shown, ",") != strings.Join(buttons, ",") {
		t.Errorf("buttons %q, want %q", shown, buttons)
	}
	if len(m.Text) < 1000 && got.Blocks[1].Text.Text != m.Text {
		t.Errorf("text %q", got.Blocks[1].Text.Text)
	}
}

func TestURLIsASecret(t *testing.T) {
	web := receive(t)
	web.answer = http.StatusForbidden
	for name, to := range map[string]string{"refused": web.URL + "/hunter2", "nobody there": "https://127.0.0.1:1/hunter2", "plaintext": "http://hooks.slack.example/hunter2", "no URL": "://hunter2"} {
		err := slack.New(notify.SlackConfig{URL: secret(t, "SLUICE_TEST_URL", to)}, client(t)).Send(t.Context(), message)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// press is a handler with what stands around it.
type press struct {
	*slack.Handler
	web   *received
	links *notify.Links
	store *storetest.Memory
	said  []string // what was decided
	err   error    // of the next decision
	now   time.Time
}

func newPress(t *testing.T) *press {
	t.Helper()
	p := &press{web: receive(t), store: storetest.NewMemory(), now: time.Now()}
	t.Cleanup(func() { _ = p.store.Close() })
	p.links = notify.NewLinks(p.store)
	apps := []slack.App{
		{Name: "other", Config: notify.SlackConfig{SigningSecret: secret(t, "SLUICE_TEST_OTHER", "hunter4"), LinkFor: time.Hour}},
		{Name: "ops", Config: notify.SlackConfig{SigningSecret: secret(t, "SLUICE_TEST_SIGNING", "hunter3"), LinkFor: time.Hour}, Page: "https://sluice.example"},
	}
	host, err := url.Parse(p.web.URL)
	if err != nil {
		t.Fatal(err)
	}
	p.Handler = slack.NewHandler(slack.Options{
		Apps: func() []slack.App { return apps }, Links: p.links, Client: client(t), ResponseHost: host.Host,
		Now: func() time.Time { return p.now },
		Decide: func(_ context.Context, who *access.Principal, request string, approve bool) error {
			p.said = append(p.said, who.ID()+" "+request+" "+strconv.FormatBool(approve))
			return p.err
		},
	})
	return p
}

// link links the user U1 of team T1 to carol.
func (p *press) link(t *testing.T, channel string) {
	t.Helper()
	code, err := p.links.Code(t.Context(), notify.Outsider{Channel: channel, Team: "T1", User: "U1", For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.links.Link(t.Context(), code, &access.Principal{Issuer: "i", Subject: "carol", Name: "carol", Kind: access.User}); err != nil {
		t.Fatal(err)
	}
}

func payload(p *press, action, user string) string {
	return `{"type":"block_actions","user":{"id":"` + user + `","username":"c","team_id":"T1"},"team":{"id":"T1"},"actions":[{"action_id":"` + action + `","value":"r1"}],"response_url":"` + p.web.URL + `/answer"}`
}

// request is one as Slack makes it, at a time.
func request(t *testing.T, key, payload string, at time.Time) *http.Request {
	t.Helper()
	body := url.Values{"payload": {payload}}.Encode()
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = mac.Write([]byte("v0:" + stamp + ":" + body))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, slack.Path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Slack-Request-Timestamp", stamp)
	r.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	return r
}

func (p *press) serve(r *http.Request) int {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Code
}

func TestPress(t *testing.T) {
	p := newPress(t)
	p.link(t, "ops")
	for name, c := range map[string]struct {
		action, user string
		err          error
		decided      string // "" for nothing
		shows        string
	}{
		"approve":         {"sluice_approve", "U1", nil, "i#carol r1 true", "Your approval counts, as carol."},
		"deny":            {"sluice_deny", "U1", nil, "i#carol r1 false", "Denied, as carol."},
		"refused":         {"sluice_approve", "U1", &access.Error{Kind: access.PermissionDenied, Message: "you can't approve <your> own request"}, "i#carol r1 true", "you can't approve &lt;your&gt; own request"},
		"broken":          {"sluice_approve", "U1", errors.New("hunter2 did not work"), "i#carol r1 true", "That did not work"},
		"somebody else":   {"sluice_approve", "U2", nil, "", "sluice approvals link-slack "},
		"open":            {"sluice_open", "U1", nil, "", ""},
		"no button of us": {"other", "U1", nil, "", ""},
	} {
		p.said, p.err, p.web.bodies = nil, c.err, nil
		p.now = p.now.Add(time.Second) // else it would be the same request
		if code := p.serve(request(t, "hunter3", payload(p, c.action, c.user), p.now)); code != http.StatusOK {
			t.Errorf("%s: status %d", name, code)
		}
		if strings.Join(p.said, ",") != c.decided {
			t.Errorf("%s: decided %q", name, p.said)
		}
		var shown struct {
			Text string
			Type string `json:"response_type"`
		}
		if answer := strings.TrimPrefix(p.web.last(), "/answer "); answer != "" {
			if err := json.Unmarshal([]byte(answer), &shown); err != nil || shown.Type != "ephemeral" {
				t.Errorf("%s: answer %s, %v", name, answer, err)
			}
		}
		if !strings.Contains(shown.Text, c.shows) || (shown.Text == "") != (c.shows == "") || strings.Contains(shown.Text, "hunter2") {
			t.Errorf("%s: shows %q", name, shown.Text)
		}
	}
}

// TestCodeLinks goes the whole way: the code that an unknown user is shown makes
// him known.
func TestCodeLinks(t *testing.T) {
	p := newPress(t)
	p.serve(request(t, "hunter3", payload(p, "sluice_approve", "U1"), p.now))
	_, rest, ok := strings.Cut(p.web.last(), "link-slack ")
	code, _, _ := strings.Cut(rest, "`")
	if !ok || len(p.said) > 0 || !strings.Contains(p.web.last(), "https://sluice.example") {
		t.Fatalf("shows %s, decided %v", p.web.last(), p.said)
	}
	if _, err := p.links.Link(t.Context(), code, &access.Principal{Issuer: "i", Subject: "dave", Kind: access.User}); err != nil {
		t.Fatal(err)
	}
	p.now = p.now.Add(time.Second)
	p.serve(request(t, "hunter3", payload(p, "sluice_approve", "U1"), p.now))
	if strings.Join(p.said, ",") != "i#dave r1 true" {
		t.Errorf("decided %v", p.said)
	}
}

func TestHostilePresses(t *testing.T) {
	good := func(p *press) string { return payload(p, "sluice_approve", "U1") }
	for name, c := range map[string]struct {
		make func(t *testing.T, p *press) *http.Request
		want int
	}{
		"another secret":  {func(t *testing.T, p *press) *http.Request { return request(t, "hunter5", good(p), p.now) }, 401},
		"an empty secret": {func(t *testing.T, p *press) *http.Request { return request(t, "", good(p), p.now) }, 401},
		"old": {func(t *testing.T, p *press) *http.Request {
			return request(t, "hunter3", good(p), p.now.Add(-6*time.Minute))
		}, 401},
		"from the future": {func(t *testing.T, p *press) *http.Request {
			return request(t, "hunter3", good(p), p.now.Add(6*time.Minute))
		}, 401},
		"another time on it": {func(t *testing.T, p *press) *http.Request {
			r := request(t, "hunter3", good(p), p.now)
			r.Header.Set("X-Slack-Request-Timestamp", strconv.FormatInt(p.now.Unix()+1, 10))
			return r
		}, 401},
		"no time": {func(t *testing.T, p *press) *http.Request {
			r := request(t, "hunter3", good(p), p.now)
			r.Header.Del("X-Slack-Request-Timestamp")
			return r
		}, 401},
		"two signatures": {func(t *testing.T, p *press) *http.Request {
			r := request(t, "hunter3", good(p), p.now)
			r.Header.Add("X-Slack-Signature", "v0=00")
			return r
		}, 401},
		"another body": {func(t *testing.T, p *press) *http.Request {
			r := request(t, "hunter3", good(p), p.now)
			r.Body = io.NopCloser(strings.NewReader("payload=" + url.QueryEscape(strings.ReplaceAll(good(p), "r1", "r2"))))
			return r
		}, 401},
		"too large": {func(t *testing.T, p *press) *http.Request {
			return request(t, "hunter3", good(p)+strings.Repeat(" ", 70<<10), p.now)
		}, 400},
		"GET": {func(t *testing.T, p *press) *http.Request {
			r := request(t, "hunter3", good(p), p.now)
			r.Method = http.MethodGet
			return r
		}, 405},
		"no press": {func(t *testing.T, p *press) *http.Request {
			return request(t, "hunter3", `{"type":"view_submission"}`, p.now)
		}, 400},
		"no JSON": {func(t *testing.T, p *press) *http.Request { return request(t, "hunter3", `{`, p.now) }, 400},
		"nobody": {func(t *testing.T, p *press) *http.Request {
			return request(t, "hunter3", payload(p, "sluice_approve", ""), p.now)
		}, 400},
		"another app's": {func(t *testing.T, p *press) *http.Request { return request(t, "hunter4", good(p), p.now) }, 200}, // where U1 of T1 is nobody
		"an answer elsewhere": {func(t *testing.T, p *press) *http.Request {
			return request(t, "hunter3", strings.ReplaceAll(payload(p, "sluice_approve", "U9"), p.web.URL, "https://evil.example"), p.now)
		}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPress(t)
			p.link(t, "ops")
			if code := p.serve(c.make(t, p)); code != c.want || len(p.said) > 0 {
				t.Errorf("status %d, decided %v", code, p.said)
			}
		})
	}
}

// TestReplay: what Slack has sent once counts once, on every replica.
func TestReplay(t *testing.T) {
	p := newPress(t)
	p.link(t, "ops")
	other := newPress(t)
	other.Handler = slack.NewHandler(slack.Options{
		Apps: func() []slack.App {
			return []slack.App{{Name: "ops", Config: notify.SlackConfig{SigningSecret: secret(t, "SLUICE_TEST_SIGNING", "hunter3")}}}
		},
		Links: notify.NewLinks(p.store.Again()), Client: client(t), Now: func() time.Time { return p.now },
		Decide: func(context.Context, *access.Principal, string, bool) error { t.Error("decided again"); return nil },
	})
	body := payload(p, "sluice_approve", "U1")
	for i, c := range []struct {
		replica *press
		want    int
	}{{p, 200}, {p, 409}, {other, 409}} {
		if code := c.replica.serve(request(t, "hunter3", body, p.now)); code != c.want {
			t.Errorf("time %d: status %d, want %d", i, code, c.want)
		}
	}
	if len(p.said) != 1 {
		t.Errorf("decided %v", p.said)
	}
	p.store.SetAway(true)
	p.now = p.now.Add(time.Second)
	if code := p.serve(request(t, "hunter3", body, p.now)); code != http.StatusServiceUnavailable || len(p.said) != 1 {
		t.Errorf("the store is away: status %d, decided %v", code, p.said)
	}
}
