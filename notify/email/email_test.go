package email_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/notify"
	"github.com/sluice-gateway/sluice/notify/email"
)

// mailServer is a server of SMTP as far as the tests go.
type mailServer struct {
	l        net.Listener
	cert     tls.Certificate
	implicit bool   // TLS from the first byte
	plain    bool   // offers no STARTTLS
	refuses  string // a command that is refused

	mu       sync.Mutex
	commands []string
	messages []string
	open     sync.WaitGroup
}

// start starts a server, and gives what its certificate is trusted by.
func (s *mailServer) start(t *testing.T) *tls.Config {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate of 127.0.0.1
	defer web.Close()
	s.cert = web.TLS.Certificates[0]
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	var err error
	if s.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.open.Go(func() {
		for {
			c, err := s.l.Accept()
			if err != nil {
				return
			}
			s.open.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = s.l.Close()
		s.open.Wait()
	})
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

func (s *mailServer) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	secure := &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12}
	if s.implicit {
		c = tls.Server(c, secure)
	}
	in := bufio.NewReader(c)
	say := func(line string) { _, _ = io.WriteString(c, line+"\r\n") }
	say("220 mail")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		s.mu.Lock()
		s.commands = append(s.commands, line)
		s.mu.Unlock()
		word, _, _ := strings.Cut(line, " ")
		switch {
		case s.refuses != "" && word == s.refuses:
			say("535 5.7.8 no, hunter2 is not it")
		case word == "EHLO" && s.plain:
			say("250-mail\r\n250 AUTH PLAIN")
		case word == "EHLO":
			say("250-mail\r\n250-STARTTLS\r\n250 AUTH PLAIN")
		case word == "STARTTLS" && s.plain:
			say("502 what?")
		case word == "STARTTLS":
			say("220 go on")
			c = tls.Server(c, secure)
			in = bufio.NewReader(c)
		case word == "DATA":
			say("354 go on")
			var text strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				text.WriteString(strings.TrimPrefix(line, "."))
			}
			s.mu.Lock()
			s.messages = append(s.messages, text.String())
			s.mu.Unlock()
			say("250 taken")
		case word == "AUTH":
			say("235 welcome")
		case word == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *mailServer) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.commands, "\n")
}

var message = notify.Message{
	ID: "01a", Title: "ünloading prod-simple\r\nBcc: everybody@example.com", Text: "Reason: it leaks\n.\nQUIT\n" + strings.Repeat("long ", 300),
	Link: "https://sluice.example/approvals/r1",
}

func config(t *testing.T, s *mailServer) notify.EmailConfig {
	t.Helper()
	t.Setenv("SLUICE_TEST_SECRET", "hunter2")
	c := notify.EmailConfig{SMTP: s.l.Addr().String(), From: "sluice@example.com", To: []string{"a@example.com", "b@example.org"}, Username: "sluice", TLS: notify.StartTLS}
	if err := c.Password.UnmarshalText([]byte("${SLUICE_TEST_SECRET}")); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSend(t *testing.T) {
	for _, way := range []string{notify.StartTLS, notify.TLS, notify.NoTLS} {
		t.Run(way, func(t *testing.T) {
			s := &mailServer{implicit: way == notify.TLS, plain: way != notify.StartTLS}
			trust := s.start(t)
			cfg := config(t, s)
			cfg.TLS = way
			if err := email.New(cfg, trust).Send(t.Context(), message); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{
				"AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00sluice\x00hunter2")),
				"MAIL FROM:<sluice@example.com>", "RCPT TO:<a@example.com>", "RCPT TO:<b@example.org>",
			} {
				if !strings.Contains(s.said(), want) {
					t.Errorf("no %s in %s", want, s.said())
				}
			}
			checkMessage(t, s)
		})
	}
}

func checkMessage(t *testing.T, s *mailServer) {
	t.Helper()
	if len(s.messages) != 1 {
		t.Fatalf("%d messages", len(s.messages))
	}
	m, err := mail.ReadMessage(strings.NewReader(s.messages[0]))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || !strings.HasPrefix(subject, "ünloading prod-simple") || m.Header.Get("Bcc") != "" {
		t.Errorf("headers %v, %v", m.Header, err)
	}
	if m.Header.Get("Message-Id") != "<01a@example.com>" || m.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("headers %v", m.Header)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) != 2 {
		t.Errorf("to %v, %v", to, err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || !strings.Contains(string(body), "\r\n.\r\nQUIT\r\nlong long") || !strings.Contains(string(body), message.Link) {
		t.Errorf("body %s, %v", body, err)
	}
	for line := range strings.Lines(s.messages[0]) {
		if len(line) > 998 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		server  *mailServer
		trusted bool
		says    string
	}{
		"a server that offers no TLS":           {&mailServer{plain: true}, true, "STARTTLS"},
		"a certificate that nobody vouches for": {&mailServer{}, false, "certificate"},
		"a wrong password":                      {&mailServer{refuses: "AUTH"}, true, "refuses the user name and password"},
		"a sender that it does not take":        {&mailServer{refuses: "MAIL"}, true, "535"},
		"a recipient that it does not take":     {&mailServer{refuses: "RCPT"}, true, "535"},
		"a message that it does not take":       {&mailServer{refuses: "DATA"}, true, "535"},
	} {
		t.Run(name, func(t *testing.T) {
			trust := c.server.start(t)
			if !c.trusted {
				trust = nil
			}
			err := email.New(config(t, c.server), trust).Send(t.Context(), message)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(c.says, "user name") && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("says the password: %v", err)
			}
			if len(c.server.messages) > 0 || !c.trusted && strings.Contains(c.server.said(), "AUTH") {
				t.Errorf("told it: %s", c.server.said())
			}
		})
	}
}

// TestSilent: a server that says nothing holds nobody for longer than the context.
func TestSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := &mailServer{l: l}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := email.New(config(t, s), nil).Send(ctx, message); err == nil || time.Since(start) > 30*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
}
