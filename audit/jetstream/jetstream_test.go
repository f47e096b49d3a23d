package jetstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	upstream "github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/jetstream"
	"github.com/sluice-gateway/sluice/audit/sinktest"
)

// cluster is real NATS servers in this process, with JetStream on disk.
type cluster struct {
	options []*natsserver.Options
	servers []*natsserver.Server
}

func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{servers: make([]*natsserver.Server, n)}
	dir := t.TempDir()
	var routes []*url.URL
	for i := range n {
		o := &natsserver.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: free(t), NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: filepath.Join(dir, fmt.Sprint(i)),
		}
		if n > 1 {
			o.Cluster = natsserver.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: free(t)}
			routes = append(routes, &url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", fmt.Sprint(o.Cluster.Port))})
		}
		c.options = append(c.options, o)
	}
	for i := range n {
		c.options[i].Routes = routes
		c.start(t, i)
	}
	t.Cleanup(func() {
		for _, s := range c.servers {
			s.Shutdown()
			s.WaitForShutdown()
		}
	})
	return c
}

// free finds a port; nobody else on loopback takes it in the meantime but by
// chance.
func free(t *testing.T) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func (c *cluster) start(t *testing.T, i int) {
	t.Helper()
	s, err := natsserver.NewServer(c.options[i].Clone())
	if err != nil {
		t.Fatal(err)
	}
	c.servers[i] = s
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("a NATS server did not start")
	}
}

func (c *cluster) stop(i int) {
	c.servers[i].Shutdown()
	c.servers[i].WaitForShutdown()
}

func (c *cluster) config() jetstream.Config {
	cfg := jetstream.Config{Replicas: len(c.servers)}
	for _, o := range c.options {
		cfg.Servers = append(cfg.Servers, fmt.Sprintf("nats://127.0.0.1:%d", o.Port))
	}
	return cfg
}

// stream looks at the stream as a consumer would.
func (c *cluster) stream(t *testing.T, look func(ctx context.Context, s upstream.Stream)) {
	t.Helper()
	conn, err := nats.Connect(strings.Join(c.config().Servers, ","))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := upstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, "SLUICE_AUDIT")
	if err != nil {
		t.Fatal(err)
	}
	look(ctx, s)
}

func (c *cluster) received(t *testing.T) (seqs []uint64) {
	t.Helper()
	c.stream(t, func(ctx context.Context, s upstream.Stream) {
		info, err := s.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i := info.State.FirstSeq; i <= info.State.LastSeq; i++ {
			m, err := s.GetMsg(ctx, i)
			if err != nil {
				t.Fatal(err)
			}
			var r audit.Record
			if err := json.Unmarshal(m.Data, &r); err != nil || m.Subject != "sluice.audit.r1.call" || len(m.Header.Get("Sluice-Leaf")) != 64 {
				t.Fatalf("%v, subject %s, header %v", err, m.Subject, m.Header)
			}
			seqs = append(seqs, r.Seq)
		}
	})
	return seqs
}

func TestSuite(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Place {
		c := newCluster(t, 1)
		return sinktest.Place{
			Sink: jetstream.New("stream", c.config(), nil), Received: c.received,
			Break: func(*testing.T) { c.stop(0) }, Mend: func(t *testing.T) { c.start(t, 0) },
			Why: "a server that hangs can't be made here: Send waits for its context alone",
		}
	})
}

func TestARecordThatIsSentTwiceIsKeptOnce(t *testing.T) {
	c := newCluster(t, 1)
	sink := jetstream.New("stream", c.config(), nil)
	defer func() { _ = sink.Close() }()
	for range 2 {
		if err := sink.Send(t.Context(), sinktest.Entries(0, 50)); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.received(t); len(got) != 50 {
		t.Errorf("%d messages, want 50", len(got))
	}
}

// TestTheLeaderIsLost: the servers choose another, and no record is missing.
func TestTheLeaderIsLost(t *testing.T) {
	c := newCluster(t, 3)
	sink := jetstream.New("stream", c.config(), nil)
	defer func() { _ = sink.Close() }()
	send := func(seq uint64) {
		t.Helper()
		var err error
		for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			err = sink.Send(ctx, sinktest.Entries(seq, 100))
			cancel()
			if err == nil {
				return
			}
		}
		t.Fatal(err)
	}
	send(0)
	var leader string
	c.stream(t, func(ctx context.Context, s upstream.Stream) {
		info, err := s.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		leader = info.Cluster.Leader
	})
	for i, o := range c.options {
		if o.ServerName == leader {
			c.stop(i)
			send(100)
			c.start(t, i)
		}
	}
	send(200)
	seen := map[uint64]bool{}
	for _, seq := range c.received(t) {
		seen[seq] = true
	}
	if len(seen) != 300 {
		t.Errorf("%d records, want 300 (the leader was %s)", len(seen), leader)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  jetstream.Config
		want string
	}{
		"fine":                  {jetstream.Config{Servers: []string{"tls://n:4222"}}, ""},
		"no server":             {jetstream.Config{}, "is missing"},
		"a server without URL":  {jetstream.Config{Servers: []string{"n:4222"}}, "URL"},
		"a password in the URL": {jetstream.Config{Servers: []string{"nats://a:b@n:4222"}}, "password"},
		"a stream with a dot":   {jetstream.Config{Servers: []string{"tls://n"}, Stream: "a.b"}, "spaces"},
		"a subject with a star": {jetstream.Config{Servers: []string{"tls://n"}, Subject: "a.*"}, "words"},
		"six replicas":          {jetstream.Config{Servers: []string{"tls://n"}, Replicas: 6}, "between"},
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

// BenchmarkSend says how many records a second one server takes.
func BenchmarkSend(b *testing.B) {
	entries := sinktest.Entries(0, 512)
	o := &natsserver.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, JetStream: true, StoreDir: b.TempDir()}
	s, err := natsserver.NewServer(o)
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(10 * time.Second) {
		b.Fatal("not ready")
	}
	sink := jetstream.New("stream", jetstream.Config{Servers: []string{s.ClientURL()}}, nil)
	defer func() { _ = sink.Close() }()
	seq := uint64(0)
	for b.Loop() {
		for i := range entries {
			entries[i].Record.Seq = seq
			seq++
		}
		if err := sink.Send(b.Context(), entries); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(seq)/b.Elapsed().Seconds(), "records/s")
}
