package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/merkle"
	auditpg "github.com/sluice-gateway/sluice/audit/postgres"
	auditlog "github.com/sluice-gateway/sluice/audit/sqlite"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/secret"
)

// openAudit opens the audit log, if there is to be one. A log that cannot be
// opened, or that was changed while nobody looked, is the error: nothing is served
// that would not be recorded.
func (s *Server) openAudit(ctx context.Context, cfg *config.Config, ring *secret.Keyring, digest string) error {
	if !cfg.HasLog() {
		level := slog.LevelWarn
		if cfg.Audit.SQLite == audit.Off {
			level = slog.LevelInfo
		}
		s.log.LogAttrs(ctx, level, "calls are not recorded: the configuration has neither audit.sqlite, audit.postgres nor a store")
		return nil
	}
	key, err := merkle.OpenKey(cfg.LogKey())
	if err != nil {
		return err
	}
	log, where, err := openLog(ctx, cfg, s.log)
	if err != nil {
		return err
	}
	if err := claim(ctx, log, key); err != nil {
		return errors.Join(err, log.Close())
	}
	metrics := newAuditMetrics()
	s.audit, err = audit.NewRecorder(ctx, audit.Options{
		Log: log, Key: key, Config: cfg.Audit.Config, Logger: s.log,
		Publish: publisher(cfg.Audit.Checkpoint), Written: metrics.wrote, WatchClock: s.store != nil,
	})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	if s.sinks, err = forward(context.WithoutCancel(ctx), cfg.Audit.Sinks, log, s.audit.Replica(), s.log); err != nil {
		return errors.Join(err, s.audit.Close())
	}
	if err := s.openPayloads(cfg, ring, log, s.audit.Replica()); err != nil {
		return errors.Join(err, s.sinks.close(), s.audit.Close())
	}
	metrics.recorder = s.audit
	s.auditKeys = func(ctx context.Context) ([]string, error) {
		return publicKeys(ctx, log, []string{key.Public()})
	}
	s.registry.MustRegister(metrics, s.sinks)
	s.log.LogAttrs(ctx, slog.LevelInfo, "calls are recorded", slog.String("log", where), slog.String("origin", s.audit.Replica()), slog.String("public_key", key.Public()))
	// On disk before anything is served: who verifies the log from then on finds it.
	begun := &audit.Record{Kind: audit.KindStart, Time: time.Now(), Verdict: audit.Allowed, Object: digest, Detail: version()}
	if err := s.audit.Write(ctx, begun, nil); err != nil {
		s.closeAudit()
		return err
	}
	return nil
}

// clockBelieved tells whether what is over by a time that was read before may be
// destroyed. Where nothing is recorded nobody can tell, and the clock is believed.
func (s *Server) clockBelieved() bool { return s.audit == nil || s.audit.Believed() }

// openLog opens the log that is configured, and says where it is.
func openLog(ctx context.Context, cfg *config.Config, logger *slog.Logger) (log audit.Log, where string, err error) {
	if ref := cfg.LogPostgres(); !ref.IsZero() {
		url, err := ref.Resolve()
		if err != nil {
			return nil, "", fmt.Errorf("audit.postgres: %w", err)
		}
		log, err := auditpg.Open(ctx, url, auditpg.Options{Logger: logger})
		if err != nil {
			return nil, "", err // not log: a nil one of a type is not nil
		}
		return log, "PostgreSQL", nil
	}
	path := cfg.LogPath()
	l, err := auditlog.Open(ctx, path)
	if err != nil {
		return nil, "", err
	}
	return l, path, nil
}

// claim makes this process the one that writes the log of a key: a second one would
// go on with the same log.
func claim(ctx context.Context, log audit.Log, key *merkle.Key) error {
	shared, ok := log.(*auditpg.Log)
	if !ok {
		return nil
	}
	return shared.Claim(ctx, key.Origin(), key.Public())
}

// publicKeys are those that check a log: the configuration's own first, then those
// that other replicas have left in the log.
func publicKeys(ctx context.Context, log audit.Log, own []string) ([]string, error) {
	shared, ok := log.(*auditpg.Log)
	if !ok {
		return own, nil
	}
	all, err := shared.PublicKeys(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(own))
	for _, key := range own {
		known[originOf(key)] = true
	}
	for _, key := range all {
		if !known[originOf(key)] { // who changed the log can't put a key in the place of ours
			own = append(own, key)
		}
	}
	return own, nil
}

func originOf(key string) string {
	origin, _, _ := strings.Cut(key, "+")
	return origin
}

// errNoLog is what commands say that need an audit log.
var errNoLog = errors.New("the configuration has no audit log; write audit.sqlite, audit.postgres or a store")

// OpenAuditLog opens the audit log that is configured for commands that read it,
// and gives the public keys of the replicas in it. A gateway may go on writing to
// it meanwhile. A log that is not there yet is an error; it is not made.
func OpenAuditLog(ctx context.Context, cfg *config.Config, logger *slog.Logger) (log audit.Log, keys []string, err error) {
	if !cfg.HasLog() {
		return nil, nil, errNoLog
	}
	if path := cfg.LogPath(); path != "" {
		if _, err := os.Stat(path); err != nil {
			return nil, nil, err
		}
	}
	if _, err := os.Stat(cfg.LogKey()); err == nil { // else it would be made
		key, err := merkle.OpenKey(cfg.LogKey())
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, key.Public())
	}
	if log, _, err = openLog(ctx, cfg, logger); err != nil {
		return nil, nil, err
	}
	if keys, err = publicKeys(ctx, log, keys); err != nil {
		return nil, nil, errors.Join(err, log.Close())
	}
	return log, keys, nil
}

// closeAudit writes what is not written yet. It is called when no call is left.
func (s *Server) closeAudit() {
	if s.audit == nil {
		return
	}
	s.payloads.close()
	s.happened(audit.KindStop, "", "", nil)
	if err := errors.Join(s.sinks.close(), s.audit.Close()); err != nil {
		s.log.LogAttrs(context.Background(), slog.LevelError, "closing the audit log", slog.Any("error", err))
	}
}

// reloaded records an attempt to take over a configuration.
func (s *Server) reloaded(_ context.Context, digest string, err error) {
	s.happened(audit.KindReload, digest, "", err)
}

// happened records what is of the gateway itself. A configuration's problems stay in
// the log: they quote it.
func (s *Server) happened(kind audit.Kind, object, detail string, err error) {
	if s.audit == nil {
		return
	}
	r := &audit.Record{Kind: kind, Time: time.Now(), Verdict: audit.Allowed, Object: object, Detail: detail}
	if err != nil {
		r.Verdict, r.Detail = audit.Failed, "not taken over; the gateway's log says why"
	}
	s.audit.Record(r, nil)
}

// version is the program's, as it was built.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}

// publisher makes checkpoints known where the configuration says; nil where it
// says nowhere.
func publisher(c audit.CheckpointConfig) func(context.Context, audit.Checkpoint) error {
	if c.File == "" && c.Webhook == "" {
		return nil
	}
	client := &http.Client{
		Timeout:       scrapeTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, checkpoint audit.Checkpoint) error {
		return errors.Join(appendTo(c.File, checkpoint.Note), post(ctx, client, c.Webhook, checkpoint.Note))
	}
}

func appendTo(path string, note []byte) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, private)
	if err != nil {
		return err
	}
	_, err = f.Write(append(note[:len(note):len(note)], '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// maxAnswer is how much of a webhook's answer is read, so that its connection can
// be used again.
const maxAnswer = 4 << 10

func post(ctx context.Context, client *http.Client, url string, note []byte) error {
	if url == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(note))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	err = resp.Body.Close()
	if resp.StatusCode >= http.StatusMultipleChoices {
		err = errors.Join(err, fmt.Errorf("the webhook answered %s", resp.Status))
	}
	return err
}

// auditMetrics shows how the recorder is doing, when it is scraped.
type auditMetrics struct {
	recorder *audit.Recorder
	seconds  prometheus.Histogram

	queued, doubt, written, lost, refused, failures *prometheus.Desc
}

func newAuditMetrics() *auditMetrics {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("sluice_audit_"+name, help, nil, nil)
	}
	return &auditMetrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_audit_write_seconds", Help: "How long a batch of records took to write, and to sync where it was asked for.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		queued:   desc("queue", "Records that wait to be written."),
		doubt:    desc("clock_doubt_seconds", "For how long yet nothing is deleted for its age, since the clock is in doubt; 0 if it is not."),
		written:  desc("records_total", "Records that were written."),
		lost:     desc("lost_total", "Records that were lost; anything but 0 is a gap in the log."),
		refused:  desc("refused_total", "Calls that were refused since they could not be recorded."),
		failures: desc("failures_total", "Attempts to write that failed."),
	}
}

var _ prometheus.Collector = (*auditMetrics)(nil)

func (m *auditMetrics) wrote(_ int, took time.Duration) { m.seconds.Observe(took.Seconds()) }

// Describe is prometheus.Collector's.
func (m *auditMetrics) Describe(out chan<- *prometheus.Desc) {
	m.seconds.Describe(out)
	for _, d := range []*prometheus.Desc{m.queued, m.doubt, m.written, m.lost, m.refused, m.failures} {
		out <- d
	}
}

// Collect is prometheus.Collector's.
func (m *auditMetrics) Collect(out chan<- prometheus.Metric) {
	m.seconds.Collect(out)
	s := m.recorder.Status()
	out <- prometheus.MustNewConstMetric(m.queued, prometheus.GaugeValue, float64(s.Queued))
	out <- prometheus.MustNewConstMetric(m.doubt, prometheus.GaugeValue, s.Doubt.Seconds())
	for d, n := range map[*prometheus.Desc]uint64{m.written: s.Written, m.lost: s.Lost, m.refused: s.Refused, m.failures: s.Failures} {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
}
