// Package webhook posts notifications as JSON to a server of the operator's, and
// signs each, so that the server can tell ours from anybody's. It is for what has
// no package of its own: chat servers, pagers, scripts.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/notify"
)

// The headers of each request. The signature is "t=SECONDS,v1=HEX", where HEX is
// the HMAC-SHA256 of the seconds, a dot and the body: a receiver checks it, and
// that the time is no more than some minutes ago. A message that is sent again has
// the same id.
const (
	SignatureHeader = "Sluice-Signature"
	IDHeader        = "Sluice-Notification"
	EventHeader     = "Sluice-Event"
)

// Channel posts to one URL.
type Channel struct {
	cfg    notify.WebhookConfig
	client *http.Client
	now    func() time.Time
}

var _ notify.Channel = (*Channel)(nil)

// New returns a channel. The secret is read for each message.
func New(cfg notify.WebhookConfig, client *http.Client) *Channel {
	return &Channel{cfg: cfg, client: client, now: time.Now}
}

// Send is [notify.Channel]'s.
func (c *Channel) Send(ctx context.Context, m notify.Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	secret, err := c.cfg.Secret.Resolve()
	if err != nil {
		return fmt.Errorf("the secret: %w", err)
	}
	return notify.Post(ctx, c.client, c.cfg.URL, body, http.Header{
		SignatureHeader: {Sign(secret, body, c.now())},
		IDHeader:        {m.ID},
		EventHeader:     {string(m.Event)},
	})
}

// Sign is the signature of a body at a time.
func Sign(secret string, body []byte, at time.Time) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	// Writing to a hash never fails.
	_, _ = mac.Write([]byte(seconds + "."))
	_, _ = mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
