// Package jetstream publishes records to a NATS JetStream stream, from which
// anything can consume them: one message a record, its JSON, on a subject that
// says the replica and the kind. The message's id is the record's place, so that
// the stream keeps once what is sent twice.
package jetstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
)

// Config says where the stream is.
type Config struct {
	// Servers are URLs of servers of the cluster, as in "tls://nats-0:4222".
	Servers []string `yaml:"servers"`
	// Stream is the stream's name. It is made if it is not there. Default: SLUICE_AUDIT.
	Stream string `yaml:"stream"`
	// Subject is what subjects begin with; the replica and the kind of record follow.
	// Default: sluice.audit.
	Subject string `yaml:"subject"`
	// Replicas is how many servers keep each message of a stream that is made here.
	// Default: 1.
	Replicas int `yaml:"replicas"`
	// Retain is how long a stream that is made here keeps messages; 0 is for ever.
	Retain time.Duration `yaml:"retain"`
	// Credentials is a file of NATS credentials (a JWT and its seed).
	Credentials access.File `yaml:"credentials"`
	// Token refers to a token, as ${NAME} or file:PATH.
	Token access.Secret `yaml:"token"`
	// CA is a PEM file of the authorities that may have signed the servers'
	// certificates; without it, the system's.
	CA access.File `yaml:"ca"`
}

const (
	defaultStream  = "SLUICE_AUDIT"
	defaultSubject = "sluice.audit"
	maxReplicas    = 5 // JetStream's own limit
	// window is how long the stream knows a message's id: longer than any pause of
	// a sink that is tried again, so that a record comes once.
	window = 10 * time.Minute
	// pending bounds what is on its way at once.
	pending = 1024
	setup   = 10 * time.Second
)

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() {
	c.Stream = cmp.Or(c.Stream, defaultStream)
	c.Subject = cmp.Or(c.Subject, defaultSubject)
	c.Replicas = cmp.Or(c.Replicas, 1)
}

// Validate reports what is wrong, after SetDefaults.
func (c *Config) Validate() (problems []access.Problem) {
	add := func(path, message string) {
		problems = append(problems, access.Problem{Path: path, Message: message})
	}
	if len(c.Servers) == 0 {
		add("servers", "is missing")
	}
	for i, s := range c.Servers {
		if !slices.ContainsFunc([]string{"nats://", "tls://"}, func(scheme string) bool { return strings.HasPrefix(s, scheme) }) {
			add(fmt.Sprintf("servers[%d]", i), "must be a URL such as tls://nats:4222")
		}
		if strings.Contains(s, "@") {
			add(fmt.Sprintf("servers[%d]", i), "must not hold a password: write token or credentials")
		}
	}
	if strings.ContainsAny(c.Stream, " .*>/\\") {
		add("stream", "must not hold spaces or any of . * > / \\")
	}
	if strings.ContainsAny(c.Subject, " *>") || strings.HasPrefix(c.Subject, ".") || strings.HasSuffix(c.Subject, ".") {
		add("subject", "must be words with dots between, such as sluice.audit")
	}
	if c.Replicas < 1 || c.Replicas > maxReplicas {
		add("replicas", "must be between 1 and 5")
	}
	if c.Retain < 0 {
		add("retain", "must not be negative")
	}
	if c.Credentials != "" && !c.Token.IsZero() {
		add("token", "and credentials exclude each other")
	}
	return problems
}

// Sink publishes to one stream. It is safe for concurrent use.
type Sink struct {
	name string
	cfg  Config
	tls  *tls.Config

	mu    sync.Mutex
	conn  *nats.Conn
	js    jetstream.JetStream
	ready bool // the stream is there
}

var _ audit.Sink = (*Sink)(nil)

// New returns a sink; it connects when there is something to send. tlsConfig is
// for tls:// servers; nil is the system's authorities.
func New(name string, cfg Config, tlsConfig *tls.Config) *Sink {
	cfg.SetDefaults()
	return &Sink{name: name, cfg: cfg, tls: tlsConfig}
}

// Name is the sink's name in the configuration.
func (s *Sink) Name() string { return s.name }

// Send publishes the records and waits until the stream has them all.
func (s *Sink) Send(ctx context.Context, batch []audit.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil {
		return err
	}
	acks := make([]jetstream.PubAckFuture, 0, len(batch))
	for _, e := range batch {
		message, err := s.message(e)
		if err != nil {
			return err
		}
		ack, err := s.js.PublishMsgAsync(message, jetstream.WithMsgID(id(e.Record)), jetstream.WithExpectStream(s.cfg.Stream))
		if err != nil {
			return s.broken(err)
		}
		acks = append(acks, ack)
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return s.broken(err)
		case <-ctx.Done():
			return s.broken(ctx.Err())
		}
	}
	return nil
}

// broken lets go of a connection on which a message was not taken: what is still
// on its way there must not come after what is sent again.
func (s *Sink) broken(err error) error {
	s.conn.Close()
	s.conn, s.js, s.ready = nil, nil, false
	return err
}

// open connects, and makes the stream where it is missing.
func (s *Sink) open(ctx context.Context) error {
	if s.conn == nil {
		conn, err := s.connect()
		if err != nil {
			return err
		}
		js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(pending), jetstream.WithPublishAsyncTimeout(setup))
		if err != nil {
			conn.Close()
			return err
		}
		s.conn, s.js = conn, js
	}
	if s.ready {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, setup)
	defer cancel()
	_, err := s.js.Stream(ctx, s.cfg.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = s.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: s.cfg.Stream, Subjects: []string{s.cfg.Subject + ".>"}, Storage: jetstream.FileStorage,
			Replicas: s.cfg.Replicas, MaxAge: s.cfg.Retain, Duplicates: duplicates(s.cfg.Retain), Compression: jetstream.S2Compression,
			DenyDelete: true,
		})
	}
	if err != nil {
		return s.broken(err)
	}
	s.ready = true
	return nil
}

// duplicates is the window in which ids are known; JetStream wants it no longer
// than messages are kept.
func duplicates(retain time.Duration) time.Duration {
	if retain > 0 {
		return min(window, retain)
	}
	return window
}

func (s *Sink) connect() (*nats.Conn, error) {
	opts := []nats.Option{nats.Name("sluice audit"), nats.Timeout(setup), nats.NoReconnect()} // a sending that failed makes another connection
	if s.tls != nil {
		opts = append(opts, nats.Secure(s.tls))
	}
	if s.cfg.Credentials != "" {
		opts = append(opts, nats.UserCredentials(string(s.cfg.Credentials)))
	}
	if !s.cfg.Token.IsZero() {
		token, err := s.cfg.Token.Resolve()
		if err != nil {
			return nil, err
		}
		opts = append(opts, nats.Token(token))
	}
	return nats.Connect(strings.Join(s.cfg.Servers, ","), opts...)
}

// message is a record on its subject. The header has the leaf, by which a reader
// can hold it against the log's checkpoints.
func (s *Sink) message(e audit.Entry) (*nats.Msg, error) {
	body, err := json.Marshal(e.Record)
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", e.Record.Seq, err)
	}
	m := nats.NewMsg(s.cfg.Subject + "." + token(e.Record.Replica) + "." + e.Record.Kind.String())
	m.Data = body
	m.Header.Set("Sluice-Leaf", hex.EncodeToString(e.Leaf[:]))
	m.Header.Set("Content-Type", "application/json")
	return m, nil
}

func id(r *audit.Record) string { return r.Replica + "/" + strconv.FormatUint(r.Seq, 10) }

// token makes a name one word of a subject.
func token(name string) string {
	return cmp.Or(strings.Map(func(r rune) rune {
		if r <= ' ' || r == '.' || r == '*' || r == '>' || r == 0x7f {
			return '_'
		}
		return r
	}, name), "_")
}

// Close ends the connection.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	return nil
}
