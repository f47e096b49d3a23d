package syslog_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/sinktest"
	"github.com/sluice-gateway/sluice/audit/syslog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a syslog server: it keeps the messages it gets.
type server struct {
	address string
	tls     *tls.Config

	mu       sync.Mutex
	messages []string
	listener net.Listener
	conns    []net.Conn
	serving  sync.WaitGroup
	hangs    atomic.Bool
}

func (s *server) start(t *testing.T) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	if s.tls != nil {
		l = tls.NewListener(l, s.tls)
	}
	s.listener = l
	s.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.serving.Go(func() { s.serve(conn) })
		}
	})
}

func (s *server) stop(*testing.T) {
	_ = s.listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.serving.Wait()
}

// serve reads messages by octet counting.
func (s *server) serve(conn net.Conn) {
	if s.hangs.Load() {
		return
	}
	r := bufio.NewReader(conn)
	for {
		var n int
		if _, err := fmt.Fscanf(r, "%d ", &n); err != nil {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		s.keep(b)
	}
}

func (s *server) keep(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, string(b))
}

func (s *server) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.messages...)
}

func (s *server) seqs(t *testing.T) (seqs []uint64) {
	t.Helper()
	for _, m := range s.all() {
		_, body, found := strings.Cut(m, "\ufeff")
		var r audit.Record
		if err := json.Unmarshal([]byte(body), &r); !found || err != nil {
			t.Fatalf("%v in %q", err, m)
		}
		seqs = append(seqs, r.Seq)
	}
	return seqs
}

func TestSuite(t *testing.T) {
	for _, network := range []string{"tcp", "tls"} {
		t.Run(network, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Place {
				s := &server{address: "127.0.0.1:0"}
				var trust *tls.Config
				if network == "tls" {
					s.tls, trust = certificates(t)
				}
				s.start(t)
				t.Cleanup(func() { s.stop(t) })
				return sinktest.Place{
					Sink:     syslog.New("syslog", syslog.Config{Address: s.address, Network: network}, trust),
					Received: s.seqs, Break: s.stop, Mend: s.start,
					Hang: func(*testing.T) { s.hangs.Store(true) }, Unheard: true,
				}
			})
		})
	}
}

// certificates lends those of httptest.
func certificates(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	h := httptest.NewTLSServer(nil)
	defer h.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(h.Certificate())
	return &tls.Config{Certificates: h.TLS.Certificates, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: trusted, ServerName: "example.com", MinVersion: tls.VersionTLS12}
}

func TestOverUDPEachRecordIsADatagram(t *testing.T) {
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	sink := syslog.New("syslog", syslog.Config{Address: conn.LocalAddr().String(), Network: "udp"}, nil)
	defer func() { _ = sink.Close() }()
	if err := sink.Send(t.Context(), sinktest.Entries(0, 3)); err != nil {
		t.Fatal(err)
	}
	var s server
	for range 3 {
		b := make([]byte, 1<<16)
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, _, err := conn.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		s.keep(b[:n])
	}
	if got := s.seqs(t); len(got) != 3 || got[2] != 2 {
		t.Errorf("got %v", got)
	}
}

func TestAMessageIsWhatRFC5424Says(t *testing.T) {
	form := regexp.MustCompile(`^<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]+ sluice \d+ [a-z_]+ \[sluice@32473( [a-z]+="([^"\\\]]|\\["\\\]])*")*\] ` + "\ufeff" + `\{.*\}$`)
	for name, c := range map[string]struct {
		change func(*audit.Record)
		want   string
	}{
		"allowed":               {func(*audit.Record) {}, "<110>1 "},
		"denied":                {func(r *audit.Record) { r.Verdict = audit.Denied }, "<108>1 "},
		"failed":                {func(r *audit.Record) { r.Verdict = audit.Failed }, "<107>1 "},
		"held":                  {func(r *audit.Record) { r.Verdict = audit.Held }, "<109>1 "},
		"a gap":                 {func(r *audit.Record) { r.Kind = audit.KindGap }, "<107>1 "},
		"quotes and brackets":   {func(r *audit.Record) { r.Name = `a"b]c\d` }, `name="a\"b\]c\\d"`},
		"an end of line":        {func(r *audit.Record) { r.Model = "a\n<34>1 forged" }, `model="a<34>1 forged"`},
		"what is no valid text": {func(r *audit.Record) { r.Model = "a\xff" }, "model=\"a\ufffd\""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{address: "127.0.0.1:0"}
			s.start(t)
			defer s.stop(t)
			sink := syslog.New("syslog", syslog.Config{Address: s.address, Network: "tcp"}, nil)
			defer func() { _ = sink.Close() }()
			entries := sinktest.Entries(0, 1)
			c.change(entries[0].Record)
			if err := sink.Send(t.Context(), entries); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(time.Minute); len(s.all()) == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			}
			if got := s.all(); len(got) != 1 || !form.MatchString(got[0]) || !strings.Contains(got[0], c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  syslog.Config
		want string
	}{
		"fine":                 {syslog.Config{Address: "a:514"}, ""},
		"no port":              {syslog.Config{Address: "a"}, "host:port"},
		"a network that isn't": {syslog.Config{Address: "a:1", Network: "udpp"}, "did you mean"},
		"a CA without TLS":     {syslog.Config{Address: "a:1", Network: "tcp", CA: "x"}, "network: tls"},
		"a facility too high":  {syslog.Config{Address: "a:1", Facility: 24}, "between"},
		"a name with a space":  {syslog.Config{Address: "a:1", AppName: "a b"}, "printable"},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.SetDefaults()
			problems := c.cfg.Validate()
			if (c.want == "") != (len(problems) == 0) || c.want != "" && !strings.Contains(problems[0].Message, c.want) {
				t.Errorf("got %v", problems)
			}
		})
	}
}
