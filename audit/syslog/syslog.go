// Package syslog sends records to a syslog server as RFC 5424 messages: over TCP
// or TLS with the length before each (RFC 6587, RFC 5425), or over UDP one in each
// datagram (RFC 5426). Syslog has no acknowledgements: what a connection swallowed
// when it broke is not known, so that records can be lost here which other sinks
// would send again.
package syslog

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
)

// Config says where the server is.
type Config struct {
	// Address is the server's host:port.
	Address string `yaml:"address"`
	// Network is tls, tcp or udp. Default: tls. Only tls keeps records from who
	// listens on the way.
	Network string `yaml:"network"`
	// CA is a PEM file of the authorities that may have signed the server's
	// certificate; without it, the system's.
	CA access.File `yaml:"ca"`
	// Facility is the messages' facility, 1 to 23. Default: 13 (log audit).
	Facility int `yaml:"facility"`
	// AppName is what the messages call the program. Default: sluice.
	AppName string `yaml:"app_name"`
}

const (
	facilityAudit = 13
	maxFacility   = 23
	// maxApp is the longest APP-NAME (RFC 5424, section 6).
	maxApp = 48
	// maxDatagram is the most that a UDP datagram is given, in bytes.
	maxDatagram = 60 << 10
	dialTime    = 10 * time.Second
	// enterprise is the number that RFC 5612 has for documentation: Sluice has none
	// of its own, and names without one are IANA's to give.
	enterprise = "sluice@32473"
)

// The networks.
const (
	overTLS = "tls"
	overTCP = "tcp"
	overUDP = "udp"
)

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() {
	if c.Network == "" {
		c.Network = overTLS
	}
	if c.Facility == 0 {
		c.Facility = facilityAudit
	}
	if c.AppName == "" {
		c.AppName = "sluice"
	}
}

// Validate reports what is wrong, after SetDefaults.
func (c *Config) Validate() (problems []access.Problem) {
	add := func(path, message string) {
		problems = append(problems, access.Problem{Path: path, Message: message})
	}
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		add("address", "must be host:port")
	}
	if networks := []string{overTLS, overTCP, overUDP}; !slices.Contains(networks, c.Network) {
		add("network", "must be tls, tcp or udp"+access.DidYouMean(c.Network, networks))
	}
	if c.CA != "" && c.Network != overTLS {
		add("ca", "is for network: tls")
	}
	if c.Facility < 1 || c.Facility > maxFacility {
		add("facility", "must be between 1 and 23")
	}
	if len(c.AppName) > maxApp || strings.ContainsFunc(c.AppName, func(r rune) bool { return r <= ' ' || r > '~' }) {
		add("app_name", "must be up to 48 printable ASCII characters without a space")
	}
	return problems
}

// Sink sends to one server. It is safe for concurrent use.
type Sink struct {
	name string
	cfg  Config
	tls  *tls.Config
	host string

	mu   sync.Mutex
	conn net.Conn
	gone chan struct{} // closed when the server has ended conn
}

var _ audit.Sink = (*Sink)(nil)

// New returns a sink; it connects when there is something to send. tlsConfig is
// for network tls; nil is the system's authorities.
func New(name string, cfg Config, tlsConfig *tls.Config) *Sink {
	cfg.SetDefaults()
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &Sink{name: name, cfg: cfg, tls: tlsConfig, host: header(host, 255)}
}

// Name is the sink's name in the configuration.
func (s *Sink) Name() string { return s.name }

// Send sends the records.
func (s *Sink) Send(ctx context.Context, batch []audit.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.connect(ctx); err != nil {
		return err
	}
	conn := s.conn // what hears of the end of ctx may run when s.conn is dropped
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })
	err := s.send(batch)
	if !stop() || err != nil {
		s.drop()
		return errors.Join(err, ctx.Err())
	}
	return nil
}

func (s *Sink) send(batch []audit.Entry) error {
	var all bytes.Buffer
	for _, e := range batch {
		message, err := s.message(e.Record)
		if err != nil {
			return fmt.Errorf("record %d: %w", e.Record.Seq, err)
		}
		if s.cfg.Network == overUDP {
			if _, err := s.conn.Write(message[:min(len(message), maxDatagram)]); err != nil {
				return err
			}
			continue
		}
		all.WriteString(strconv.Itoa(len(message)))
		all.WriteByte(' ')
		all.Write(message)
	}
	_, err := s.conn.Write(all.Bytes())
	return err
}

// connect makes a connection if there is none that lives.
func (s *Sink) connect(ctx context.Context) error {
	if s.conn != nil {
		select {
		case <-s.gone:
			s.drop()
		default:
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	var err error
	switch s.cfg.Network {
	case overTLS:
		s.conn, err = (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", s.cfg.Address)
	default:
		s.conn, err = new(net.Dialer).DialContext(ctx, s.cfg.Network, s.cfg.Address)
	}
	if err != nil {
		s.conn = nil
		return err
	}
	s.gone = make(chan struct{})
	if s.cfg.Network != overUDP { // of which an end can't be read
		go watch(s.conn, s.gone)
	}
	return nil
}

// watch ends with the connection: a syslog server says nothing, so that a read
// tells that it has gone before a batch is written to nobody.
func watch(conn net.Conn, gone chan struct{}) {
	defer close(gone)
	var b [64]byte
	for {
		if _, err := conn.Read(b[:]); err != nil {
			return
		}
	}
}

func (s *Sink) drop() {
	_ = s.conn.Close()
	if s.cfg.Network != overUDP {
		<-s.gone
	}
	s.conn = nil
}

// severity is RFC 5424's number, which is the lower the worse: 6 for info.
func severity(r *audit.Record) int { return 6 - int(r.Severity()) }

// message is a record as RFC 5424 has it: what is searched for most as structured
// data, and all of it as JSON.
func (s *Sink) message(r *audit.Record) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "<%d>1 %s %s %s %d %s [%s", s.cfg.Facility*8+severity(r), r.Time.UTC().Format("2006-01-02T15:04:05.000000Z"),
		s.host, s.cfg.AppName, os.Getpid(), r.Kind, enterprise)
	for _, p := range [][2]string{
		{"principal", r.PrincipalID()},
		{"name", r.Name},
		{"verb", r.Verb},
		{"model", r.Model},
		{"verdict", verdict(r)},
		{"reason", r.Reason},
		{"session", r.Session},
		{"call", r.Call},
		{"replica", r.Replica},
		{"seq", strconv.FormatUint(r.Seq, 10)},
	} {
		if p[1] != "" {
			fmt.Fprintf(&b, ` %s="%s"`, p[0], escape(p[1]))
		}
	}
	b.WriteString("] \ufeff")
	b.Write(body)
	return b.Bytes(), nil
}

func verdict(r *audit.Record) string {
	if r.Verdict == 0 {
		return ""
	}
	return r.Verdict.String()
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// escape is RFC 5424, section 6.3.3; control characters, which receivers take for
// ends of lines, are left out.
func escape(v string) string {
	return escapes.Replace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(v, "\ufffd")))
}

// header is a field of the header: printable ASCII without a space.
func header(v string, most int) string {
	v = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, v)
	return v[:min(len(v), most)]
}

// Close ends the connection.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.drop()
	}
	return nil
}
