package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	auditlog "github.com/sluice-gateway/sluice/audit/sqlite"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/notify"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/sqlite"
)

// mailbox is a server that remembers what was posted to each of its paths.
type mailbox struct {
	*httptest.Server
	mu  sync.Mutex
	got map[string][]string
}

func openMailbox(t *testing.T) *mailbox {
	t.Helper()
	m := &mailbox{got: make(map[string][]string)}
	m.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.got[r.URL.Path] = append(m.got[r.URL.Path], r.Header.Get("Sluice-Event")+" "+string(body))
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *mailbox) all(path string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.got[path], "\n")
}

// slackDesk is a desk with a Slack app, and the links of its store.
type slackDesk struct {
	*desk
	mail *mailbox
	// links are as a gateway with the key makes them, forged as who writes to the
	// database does.
	links, forged *notify.Links
	kept          string // the store's file
	n             int
}

// log is the audit log, which is beside the store.
func (s *slackDesk) log() *auditlog.Log {
	s.t.Helper()
	l, err := auditlog.Open(s.t.Context(), strings.TrimSuffix(s.kept, ".db")+".audit.db")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = l.Close() })
	return l
}

func openSlackDesk(t *testing.T, more ...func(*setup)) *slackDesk {
	t.Helper()
	s := &slackDesk{mail: openMailbox(t)}
	t.Setenv("SLUICE_TEST_SLACK", s.mail.URL+"/slack")
	t.Setenv("SLUICE_TEST_SIGNING", "hunter3")
	path := filepath.Join(t.TempDir(), "sluice.db")
	s.desk = openDesk(t, append([]func(*setup){func(c *setup) {
		_, after, _ := strings.Cut(c.extra, "\n") // less its store
		c.extra = fmt.Sprintf("store: { sqlite: %q }\n", path) + after + `
notify:
  - { name: hook, webhook: { url: "` + s.mail.URL + `/hook", secret: "${SLUICE_TEST_SIGNING}" } }
  - { name: ops, slack: { url: "${SLUICE_TEST_SLACK}", signing_secret: "${SLUICE_TEST_SIGNING}" }, events: [requested], page: "https://sluice.example" }
`
	}}, more...)...)
	kept, err := sqlite.Open(t.Context(), path) // as another process would
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	ring, err := secret.NewKeyring(secret.NewBytes(make([]byte, secret.KeySize))) // the desk's
	if err != nil {
		t.Fatal(err)
	}
	s.links, s.forged, s.kept = notify.NewLinks(secret.NewAuthentic(kept, secret.AuthenticOptions{
		Ring: ring, Kinds: []store.Kind{notify.KindLink, notify.KindCode}, Log: slog.New(slog.DiscardHandler),
	})), notify.NewLinks(kept), path
	return s
}

// link links a Slack user to one of the demo's people.
func (s *slackDesk) link(user, name string, groups ...string) {
	s.t.Helper()
	s.linkBy(s.links, user, name, groups...)
}

func (s *slackDesk) linkBy(links *notify.Links, user, name string, groups ...string) {
	s.t.Helper()
	code, err := links.Code(s.t.Context(), notify.Outsider{Channel: "ops", Team: "T1", User: user, For: time.Hour})
	if err != nil {
		s.t.Fatal(err)
	}
	who := &access.Principal{Issuer: s.issuer.URL(), Subject: name, Source: "demo", Name: name, Kind: access.User, Groups: groups}
	if _, err := links.Link(s.t.Context(), code, who); err != nil {
		s.t.Fatal(err)
	}
}

// press presses a button, as Slack does.
func (s *slackDesk) press(action, user, request string) int {
	s.t.Helper()
	return s.pressSigned("hunter3", action, user, request)
}

func (s *slackDesk) pressSigned(secret, action, user, request string) int {
	s.t.Helper()
	stamp, body := s.pressed(action, user, request)
	return s.post(secret, stamp, body)
}

// pressed is what Slack sends when a button is pressed.
func (s *slackDesk) pressed(action, user, request string) (stamp, body string) {
	s.n++
	body = url.Values{"payload": {fmt.Sprintf(`{"type":"block_actions","trigger_id":"%d","user":{"id":%q,"team_id":"T1"},"actions":[{"action_id":%q,"value":%q}]}`, s.n, user, action, request)}}.Encode()
	return fmt.Sprint(time.Now().Unix()), body
}

// post signs a body and sends it.
func (s *slackDesk) post(secret, stamp, body string) int {
	s.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte("v0:" + stamp + ":" + body))
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.Console+"/v1/slack/actions", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Slack-Request-Timestamp", stamp)
	r.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// TestPressesThatSlackHasNotSignedAreRecorded, as logins that failed.
func TestPressesThatSlackHasNotSignedAreRecorded(t *testing.T) {
	s := openSlackDesk(t)
	if code := s.pressSigned("guessed", "sluice_approve", "UC", "1"); code != http.StatusUnauthorized {
		t.Errorf("it is answered with %d", code)
	}
	log := s.log()
	var lines []string
	eventually(t, "the record", func() bool {
		lines = nil
		for f, err := range log.Search(t.Context(), audit.Query{Kinds: []audit.Kind{audit.KindLoginFailed}}) {
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, told(f.Record)+" "+f.Record.Peer.String())
		}
		return len(lines) > 0
	})
	if want := "login_failed slack denied Unauthenticated TOKEN_INVALID 127.0.0.1"; len(lines) != 1 || lines[0] != want {
		t.Errorf("recorded are %q", lines)
	}
}

// TestPeopleAreToldAndDecideInSlack: what waits is told by webhook and in Slack,
// and a button lets it go for who may, and for nobody else.
func TestPeopleAreToldAndDecideInSlack(t *testing.T) {
	s := openSlackDesk(t)
	over := s.unload("prod-simple")
	a := s.pending("prod-simple")
	eventually(t, "the notifications", func() bool {
		return strings.Contains(s.mail.all("/hook"), "requested ") && strings.Contains(s.mail.all("/slack"), "sluice_approve")
	})
	if told := s.mail.all("/slack"); !strings.Contains(told, "alice asks to unload prod-simple") || !strings.Contains(told, "https://sluice.example/approvals/"+a.GetId()) {
		t.Errorf("Slack is told %s", told)
	}
	s.link("UA", "alice", "model-admin", "auditors")
	s.link("UD", "dana", "model-viewer", "pii-readers")
	s.link("UC", "carol", "approvers")
	s.linkBy(s.forged, "UF", "carol", "approvers")
	for _, user := range []string{"UX", "UA", "UD", "UF"} { // a stranger, who asked herself, somebody who may not, who wrote his link to the database
		if code := s.press("sluice_approve", user, a.GetId()); code != 200 {
			t.Errorf("%s presses: %d", user, code)
		}
		if now := s.held("prod-simple"); now.GetId() != a.GetId() || len(now.GetDecisions()) > 0 {
			t.Fatalf("%s has decided: %v", user, now)
		}
	}
	if code := s.press("sluice_approve", "UC", a.GetId()); code != 200 {
		t.Errorf("carol presses: %d", code)
	}
	if err := wait(t, over); err != nil {
		t.Errorf("the held call ended with %v; log: %s", err, s.Log.String())
	}
	eventually(t, "the news of the approval", func() bool { return strings.Contains(s.mail.all("/hook"), "approved ") })
	if strings.Contains(s.mail.all("/slack"), "may now") {
		t.Error("Slack is told of what it did not ask for")
	}
	// The button's call has its record, as everybody's.
	if log := s.Log.String(); !strings.Contains(log, `"door":"slack"`) {
		t.Errorf("log: %s", log)
	}
	// The channel has the news before the gateway counts it as sent.
	eventually(t, "the count of what was sent", func() bool {
		text := s.scrape()
		return strings.Contains(text, `sluice_notifications_total{channel="hook",result="sent"} 2`) && strings.Contains(text, "sluice_store_up 1")
	})
}

// TestEndedPersonDecidesNothingInSlack: who is kept out is kept out here too.
func TestEndedPersonDecidesNothingInSlack(t *testing.T) {
	s := openSlackDesk(t)
	over := s.unload("prod-simple")
	a := s.pending("prod-simple")
	s.link("UC", "carol", "approvers")
	if _, err := pb.NewSessionServiceClient(s.admin).KillSession(s.as("alice"), &pb.KillSessionRequest{
		Target: &pb.KillSessionRequest_Principal{Principal: s.issuer.URL() + "#carol"}, Reason: "has left",
	}); err != nil {
		t.Fatal(err)
	}
	if code := s.press("sluice_approve", "UC", a.GetId()); code != 200 {
		t.Errorf("carol presses: %d", code)
	}
	select {
	case err := <-over:
		t.Errorf("who was ended has approved: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if _, err := pb.NewApprovalServiceClient(s.admin).Deny(s.as("alice"), &pb.DenyRequest{Id: a.GetId()}); err != nil {
		t.Fatal(err)
	}
	_ = wait(t, over)
}

// TestVouchersAreNobodysElse: the word that vouches for Slack's people is no token
// for a caller.
func TestVouchersAreNobodysElse(t *testing.T) {
	s := openSlackDesk(t)
	for _, token := range []string{"sluice-voucher:", "sluice-voucher:ABCDEFGHIJKLMNOPQRSTUVWXYZ"} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
		if _, err := pb.NewIdentityServiceClient(s.admin).WhoAmI(ctx, &pb.WhoAmIRequest{}); reasonOf(err) != access.ReasonTokenInvalid {
			t.Errorf("%s: %v", token, err)
		}
	}
}

// TestLinkSlack goes the way of the people: what Slack shows is confirmed with a
// login, and only then does it count.
func TestLinkSlack(t *testing.T) {
	s := openSlackDesk(t)
	me := pb.NewIdentityServiceClient(s.admin)
	code, err := s.links.Code(t.Context(), notify.Outsider{Channel: "ops", Team: "T1", User: "UC", Name: "carol.c", For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := me.LinkSlack(s.as("carol"), &pb.LinkSlackRequest{Code: code}); err != nil || got.GetUserId() != "UC" || got.GetUserName() != "carol.c" || got.GetExpiresAt() != nil {
		t.Errorf("whose is it: %v, %v", got, err)
	}
	over := s.unload("prod-simple")
	a := s.pending("prod-simple")
	if s.press("sluice_approve", "UC", a.GetId()); s.held("prod-simple").GetId() != a.GetId() {
		t.Error("a look has linked")
	}
	// The press has made another code; the one before is void.
	if _, err := me.LinkSlack(s.as("carol"), &pb.LinkSlackRequest{Code: code, Confirm: true}); reasonOf(err) != access.ReasonNotFound {
		t.Errorf("an old code: %v", err)
	}
	if code, err = s.links.Code(t.Context(), notify.Outsider{Channel: "ops", Team: "T1", User: "UC", For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := me.LinkSlack(s.as("ci"), &pb.LinkSlackRequest{Code: code, Confirm: true}); err == nil {
		t.Error("a service was linked")
	}
	if got, err := me.LinkSlack(s.as("carol"), &pb.LinkSlackRequest{Code: code, Confirm: true}); err != nil || got.GetExpiresAt() == nil {
		t.Fatalf("link: %v, %v", got, err)
	}
	s.press("sluice_approve", "UC", a.GetId())
	if err := wait(t, over); err != nil {
		t.Errorf("the held call ended with %v", err)
	}
	if got, err := me.UnlinkSlack(s.as("carol"), &pb.UnlinkSlackRequest{}); err != nil || got.GetUnlinked() != 1 {
		t.Errorf("unlink: %v, %v", got, err)
	}
	for _, bad := range []string{"", strings.Repeat("x", 101)} {
		if _, err := me.LinkSlack(s.as("carol"), &pb.LinkSlackRequest{Code: bad}); reasonOf(err) != access.ReasonMalformed {
			t.Errorf("a code of %d bytes: %v", len(bad), err)
		}
	}
}
