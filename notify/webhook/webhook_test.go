package webhook_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/notify"
	"github.com/sluice-gateway/sluice/notify/webhook"
)

func secret(t *testing.T, value string) (s access.Secret) {
	t.Helper()
	t.Setenv("SLUICE_TEST_SECRET", value)
	if err := s.UnmarshalText([]byte("${SLUICE_TEST_SECRET}")); err != nil {
		t.Fatal(err)
	}
	return s
}

func server(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func client(t *testing.T) *http.Client {
	t.Helper()
	c := notify.Client()
	t.Cleanup(c.CloseIdleConnections)
	return c
}

var message = notify.Message{
	ID: "01a", Title: "alice asks to unload prod-simple", Text: "Reason: <it> leaks", Link: "https://sluice.example/approvals/r1",
	Notification: access.Notification{Event: access.EventRequested, Request: "r1", Requester: "i#alice", Verb: "unload", Model: "prod-simple", At: time.Unix(1e9, 0).UTC()},
}

// TestSigned does what a receiver does.
func TestSigned(t *testing.T) {
	var header http.Header
	var body []byte
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
	})
	if err := webhook.New(notify.WebhookConfig{URL: url, Secret: secret(t, "hunter2")}, client(t)).Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	stamp, mac, _ := strings.Cut(header.Get("Sluice-Signature"), ",")
	seconds, err := strconv.ParseInt(strings.TrimPrefix(stamp, "t="), 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)) > time.Minute {
		t.Errorf("signature %q, %v", header.Get("Sluice-Signature"), err)
	}
	for name, c := range map[string]struct {
		secret string
		body   []byte
		at     time.Time
		good   bool
	}{
		"as it is":       {"hunter2", body, time.Unix(seconds, 0), true},
		"another secret": {"hunter3", body, time.Unix(seconds, 0), false},
		"another body":   {"hunter2", append([]byte(" "), body...), time.Unix(seconds, 0), false},
		"another time":   {"hunter2", body, time.Unix(seconds+1, 0), false},
	} {
		_, want, _ := strings.Cut(webhook.Sign(c.secret, c.body, c.at), ",")
		if (want == mac) != c.good {
			t.Errorf("%s: %s and %s", name, mac, want)
		}
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil || got["id"] != "01a" || got["event"] != "requested" || got["link"] != message.Link || got["title"] != message.Title || got["request"] != "r1" {
		t.Errorf("body %s, %v", body, err)
	}
	if header.Get("Sluice-Notification") != "01a" || header.Get("Sluice-Event") != "requested" || header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", header)
	}
}

// A known value, so that receivers written by others can be held to it:
// printf '1000000000.{"a":1}' | openssl dgst -sha256 -hmac hunter2.
func TestSign(t *testing.T) {
	const want = "t=1000000000,v1=c265e19001ed5206ba0aad39afb36cdb09da03c30c8db2c01eee0557b246d660"
	if got := webhook.Sign("hunter2", []byte(`{"a":1}`), time.Unix(1e9, 0)); got != want {
		t.Errorf("got %s", got)
	}
}

func TestRefusals(t *testing.T) {
	elsewhere := server(t, func(http.ResponseWriter, *http.Request) { t.Error("followed a redirect") })
	hang := make(chan struct{}, 1) // the request may not have come when it is given up
	defer close(hang)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"an error":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "502"},
		"not found": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, "404"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
		}, "307"},
		"broken off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"no answer":  {func(_ http.ResponseWriter, r *http.Request) { <-hang }, "deadline"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			url := server(t, c.answer)
			patience := time.Minute
			if name == "no answer" {
				patience = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := webhook.New(notify.WebhookConfig{URL: url + "/hunter2", Secret: secret(t, "hunter2")}, client(t)).Send(ctx, message)
			if name == "no answer" {
				hang <- struct{}{}
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSecretIsMissing(t *testing.T) {
	url := server(t, func(http.ResponseWriter, *http.Request) { t.Error("sent without a signature") })
	err := webhook.New(notify.WebhookConfig{URL: url, Secret: secret(t, "")}, client(t)).Send(t.Context(), message)
	if err == nil || !strings.Contains(err.Error(), "SLUICE_TEST_SECRET is empty") {
		t.Errorf("got %v", err)
	}
}
