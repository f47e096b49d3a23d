// Package email sends notifications to mailboxes by a mail server (SMTP), in
// plain text. It is net/smtp with bounds; it keeps no connection open.
package email

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/notify"
)

// timeout bounds a whole conversation where the context does not.
const timeout = 30 * time.Second

// Channel sends to some addresses.
type Channel struct {
	cfg notify.EmailConfig
	tls *tls.Config
	now func() time.Time
}

var _ notify.Channel = (*Channel)(nil)

// New returns a channel. base is how TLS is spoken beside the server's name, nil
// for the system's certificate authorities.
func New(cfg notify.EmailConfig, base *tls.Config) *Channel {
	if base == nil {
		base = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &Channel{cfg: cfg, tls: base, now: time.Now}
}

// Send is [notify.Channel]'s.
func (c *Channel) Send(ctx context.Context, m notify.Message) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	host, _, err := net.SplitHostPort(c.cfg.SMTP)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.cfg.SMTP)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	// net/smtp knows no contexts: the end of this one closes the connection.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := c.talk(conn, host, m); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	return nil
}

func (c *Channel) talk(conn net.Conn, host string, m notify.Message) error {
	secure := c.tls.Clone()
	secure.ServerName = host
	if c.cfg.TLS == notify.TLS {
		conn = tls.Client(conn, secure)
	}
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	if c.cfg.TLS == notify.StartTLS {
		// A server that does not offer it, or somebody on the way who takes the
		// offer out, gets nothing.
		if err := client.StartTLS(secure); err != nil {
			return fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if err := c.login(client, host); err != nil {
		return err
	}
	if err := client.Mail(c.cfg.From); err != nil {
		return err
	}
	for _, to := range c.cfg.To {
		if err := client.Rcpt(to); err != nil {
			return err
		}
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(c.compose(m)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = client.Quit() // it was taken; how the server says good-bye is no matter
	return nil
}

// login shows the password, if there is one. net/smtp does so over TLS or to
// loopback only.
func (c *Channel) login(client *smtp.Client, host string) error {
	if c.cfg.Username == "" {
		return nil
	}
	password, err := c.cfg.Password.Resolve()
	if err != nil {
		return fmt.Errorf("the password: %w", err)
	}
	if err := client.Auth(smtp.PlainAuth("", c.cfg.Username, password, host)); err != nil {
		return errors.New("the server refuses the user name and password") // its own words may repeat them
	}
	return nil
}

// compose writes the message. What callers wrote in it is encoded: no header
// begins in it, and no line ends the message.
func (c *Channel) compose(m notify.Message) []byte {
	_, domain, _ := strings.Cut(c.cfg.From, "@")
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"From", "Sluice <" + c.cfg.From + ">"},
		{"To", strings.Join(c.cfg.To, ",\r\n ")},
		{"Subject", mime.QEncoding.Encode("utf-8", m.Title)},
		{"Date", c.now().Format(time.RFC1123Z)},
		// The same each time, so that mailboxes show a repeated message once.
		{"Message-ID", "<" + m.ID + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("\r\n")
	text := m.Title + "\n\n" + m.Text + "\n"
	if m.Link != "" {
		text += "\n" + m.Link + "\n"
	}
	w := quotedprintable.NewWriter(&b)
	// Writing to a buffer never fails.
	_, _ = w.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	_ = w.Close()
	return b.Bytes()
}
