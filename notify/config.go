package notify

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// The defaults and bounds.
const (
	defaultGiveUp = 24 * time.Hour
	minGiveUp     = time.Minute
	maxGiveUp     = 30 * 24 * time.Hour
	// MaxChannels is how many entries notify may have: each is told in one change
	// of the store.
	MaxChannels = 50
)

// Config is one entry of notify: one channel, and what it hears of.
type Config struct {
	// Name is how the log and the metrics call the channel: letters, digits, - and _.
	Name string `yaml:"name"`
	// Webhook sends JSON to a server of your own.
	Webhook *WebhookConfig `yaml:"webhook"`
	// Slack sends to a channel of Slack.
	Slack *SlackConfig `yaml:"slack"`
	// Email sends to mailboxes.
	Email *EmailConfig `yaml:"email"`
	// Events are what the channel hears of: requested, approved, denied, expired,
	// break_glass, revoked. All, if none is named.
	Events []string `yaml:"events"`
	// Groups narrow it to what members of one of them may approve. What nobody has
	// to approve (break_glass) is told all the same.
	Groups []string `yaml:"groups"`
	// Page is the URL of the console as people reach it; messages link to the
	// request there.
	Page string `yaml:"page"`
	// Title and Text replace what is written, as Go templates (text/template) over
	// {{.Event}}, {{.Requester}}, {{.RequesterName}}, {{.Actor}}, {{.ActorName}},
	// {{.Verb}}, {{.Model}}, {{.Reason}}, {{.Ticket}}, {{.Guard}}, {{.By}}, {{.At}},
	// {{.Expires}}, {{.Request}}, {{.Grant}}, {{.Link}}.
	Title string `yaml:"title"`
	Text  string `yaml:"text"`
	// GiveUp is how long a message is tried to be sent; after that it is dropped,
	// and the log says so.
	GiveUp time.Duration `yaml:"give_up"`
}

// WebhookConfig is a server that takes JSON.
type WebhookConfig struct {
	// URL is where messages are posted to. Off loopback it has to be https.
	URL string `yaml:"url"`
	// Secret refers to the key that signs each message (HMAC-SHA256).
	Secret access.Secret `yaml:"secret"`
}

// SlackConfig is an incoming webhook of Slack.
type SlackConfig struct {
	// URL refers to the webhook's URL, which is a secret: who has it can post.
	URL access.Secret `yaml:"url"`
	// SigningSecret refers to the Slack app's signing secret. With it, messages have
	// buttons to approve and to deny.
	SigningSecret access.Secret `yaml:"signing_secret"`
	// LinkFor is how long a person's link between Slack and his login lasts; his
	// groups are those that he had when he made it.
	LinkFor time.Duration `yaml:"link_for"`
}

// EmailConfig is a mail server that takes messages (SMTP).
type EmailConfig struct {
	// SMTP is the server, host:port.
	SMTP string `yaml:"smtp"`
	// From is the sender, To who gets it.
	From string   `yaml:"from"`
	To   []string `yaml:"to"`
	// Username and Password are for the server, if it wants them; never without TLS.
	Username string        `yaml:"username"`
	Password access.Secret `yaml:"password"`
	// TLS is starttls (the server has to offer it), tls from the first byte, or none.
	TLS string `yaml:"tls"`
}

// The ways of [EmailConfig.TLS].
const (
	StartTLS = "starttls"
	TLS      = "tls"
	NoTLS    = "none"
)

// The bounds of [SlackConfig.LinkFor].
const (
	defaultLinkFor = 12 * time.Hour
	maxLinkFor     = 7 * 24 * time.Hour
)

// SetDefaults fills in what is not written.
func (c *Config) SetDefaults() {
	if c.GiveUp == 0 {
		c.GiveUp = defaultGiveUp
	}
}

// SetDefaults fills in what is not written.
func (c *SlackConfig) SetDefaults() {
	if c.LinkFor == 0 {
		c.LinkFor = defaultLinkFor
	}
}

// SetDefaults fills in what is not written.
func (c *EmailConfig) SetDefaults() {
	if c.TLS == "" {
		c.TLS = StartTLS
	}
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// problems collects what is wrong.
type problems []access.Problem

func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, access.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

// Validate checks one entry; it resolves no secret and connects to nothing.
func (c *Config) Validate() []access.Problem {
	var p problems
	if !goodName.MatchString(c.Name) {
		p.add("name", "must be 1 to 64 letters, digits, - and _")
	}
	ways := 0
	for _, there := range []bool{c.Webhook != nil, c.Slack != nil, c.Email != nil} {
		if there {
			ways++
		}
	}
	if ways != 1 {
		p.add("", "needs exactly one of webhook, slack and email")
	}
	for i, e := range c.Events {
		if !slices.Contains(access.Events, access.Event(e)) {
			p.add(fmt.Sprintf("events[%d]", i), "no such event%s", access.DidYouMean(e, eventNames()))
		}
	}
	if c.Page != "" {
		p.url("page", c.Page)
	}
	if _, err := NewTexts(c.Title, c.Text); err != nil {
		p.add(err.Field, "%v", err.Err)
	}
	if c.GiveUp < minGiveUp || c.GiveUp > maxGiveUp {
		p.add("give_up", "must be between %v and %v", minGiveUp, maxGiveUp)
	}
	p.webhook(c.Webhook)
	p.slack(c.Slack)
	p.email(c.Email)
	return p
}

func eventNames() (all []string) {
	for _, e := range access.Events {
		all = append(all, string(e))
	}
	return all
}

func (p *problems) webhook(w *WebhookConfig) {
	if w == nil {
		return
	}
	p.url("webhook.url", w.URL)
	if w.Secret.IsZero() {
		p.add("webhook.secret", "is missing: without a signature anybody can tell your server what he likes; write ${NAME} or file:PATH")
	}
}

func (p *problems) slack(s *SlackConfig) {
	if s == nil {
		return
	}
	if s.URL.IsZero() {
		p.add("slack.url", "is missing; write the incoming webhook's URL as ${NAME} or file:PATH")
	}
	if s.LinkFor < time.Minute || s.LinkFor > maxLinkFor {
		p.add("slack.link_for", "must be between 1m and %v", maxLinkFor)
	}
}

func (p *problems) email(e *EmailConfig) {
	if e == nil {
		return
	}
	host, port, ok := strings.Cut(e.SMTP, ":")
	if !ok || host == "" || port == "" {
		p.add("email.smtp", "must be host:port")
	}
	if !slices.Contains([]string{StartTLS, TLS, NoTLS}, e.TLS) {
		p.add("email.tls", "must be starttls, tls or none%s", access.DidYouMean(e.TLS, []string{StartTLS, TLS, NoTLS}))
	}
	if e.TLS == NoTLS && !loopback(host) {
		p.add("email.tls", "none is for a server on loopback only")
	}
	if e.Username != "" && e.Password.IsZero() {
		p.add("email.password", "is missing; write ${NAME} or file:PATH")
	}
	if !address(e.From) {
		p.add("email.from", "must be an address such as sluice@example.com")
	}
	if len(e.To) == 0 {
		p.add("email.to", "is missing: nobody would get it")
	}
	for i, to := range e.To {
		if !address(to) {
			p.add(fmt.Sprintf("email.to[%d]", i), "must be an address such as approvers@example.com")
		}
	}
}

// address is strict: what passes goes into a header and into SMTP as it stands.
func address(s string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@[A-Za-z0-9.-]+$`).MatchString(s) && len(s) <= 254
}

// url checks a URL that goes over the network in plaintext nowhere but here.
func (p *problems) url(path, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		p.add(path, "must be a URL such as https://host/path")
	case u.User != nil:
		p.add(path, "has a password in it; nobody but the gateway should know that")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		p.add(path, "is plaintext off loopback; use https")
	}
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// Wants tells whether the channel hears of n.
func (c *Config) Wants(n *access.Notification) bool {
	if len(c.Events) > 0 && !slices.Contains(c.Events, string(n.Event)) {
		return false
	}
	return len(c.Groups) == 0 || len(n.By) == 0 || slices.ContainsFunc(n.By, func(g string) bool { return slices.Contains(c.Groups, g) })
}
