// Package slack posts notifications to a channel of Slack, with buttons, and
// answers when somebody presses one ([Handler]). A button decides for the person
// who has linked his Slack user to his login, and for nobody else: who may read a
// channel of Slack is Slack's matter, who may approve is ours.
package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/notify"
)

// The bounds that Slack sets on its texts, in characters; more is refused by it.
const (
	maxHeader  = 150
	maxSection = 3000
)

// The buttons.
const (
	actionApprove = "sluice_approve"
	actionDeny    = "sluice_deny"
	actionOpen    = "sluice_open" // a link; Slack tells of it all the same
)

// Channel posts to an incoming webhook.
type Channel struct {
	cfg    notify.SlackConfig
	client *http.Client
}

var _ notify.Channel = (*Channel)(nil)

// New returns a channel. The webhook's URL is read for each message.
func New(cfg notify.SlackConfig, client *http.Client) *Channel {
	return &Channel{cfg: cfg, client: client}
}

// Send is [notify.Channel]'s.
func (c *Channel) Send(ctx context.Context, m notify.Message) error {
	to, err := c.cfg.URL.Resolve()
	if err != nil {
		return fmt.Errorf("the URL: %w", err)
	}
	if u, err := url.Parse(to); err != nil || u.Scheme != "https" && u.Hostname() != "127.0.0.1" {
		return errors.New("the URL is not one of https")
	}
	body, err := json.Marshal(c.compose(m))
	if err != nil {
		return err
	}
	return notify.Post(ctx, c.client, to, body, nil)
}

type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// words are shown as they are: of plain_text Slack reads no links, names or
// formatting, whoever wrote it.
func words(s string, most int) *text {
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return &text{"plain_text", s}
}

type block struct {
	Type     string    `json:"type"`
	Text     *text     `json:"text,omitempty"`
	Elements []element `json:"elements,omitempty"`
}

type element struct {
	Type     string `json:"type"`
	Text     *text  `json:"text"`
	ActionID string `json:"action_id"`
	Value    string `json:"value,omitempty"`
	URL      string `json:"url,omitempty"`
	Style    string `json:"style,omitempty"`
}

type message struct {
	// Text is what a phone's notification shows; Slack reads formatting in it.
	Text   string  `json:"text"`
	Blocks []block `json:"blocks"`
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func (c *Channel) compose(m notify.Message) message {
	title := words(m.Title, maxHeader)
	out := message{Text: escape.Replace(title.Text), Blocks: []block{{Type: "header", Text: title}}}
	if m.Text != "" {
		out.Blocks = append(out.Blocks, block{Type: "section", Text: words(m.Text, maxSection)})
	}
	var buttons []element
	if m.Event == access.EventRequested && m.Request != "" && !c.cfg.SigningSecret.IsZero() {
		buttons = append(buttons,
			element{Type: "button", Text: words("Approve", 75), ActionID: actionApprove, Value: m.Request, Style: "primary"},
			element{Type: "button", Text: words("Deny", 75), ActionID: actionDeny, Value: m.Request, Style: "danger"})
	}
	if m.Link != "" {
		buttons = append(buttons, element{Type: "button", Text: words("Open", 75), ActionID: actionOpen, URL: m.Link})
	}
	if len(buttons) > 0 {
		out.Blocks = append(out.Blocks, block{Type: "actions", Elements: buttons})
	}
	return out
}
