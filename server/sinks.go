package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/jetstream"
	"github.com/sluice-gateway/sluice/audit/jsonl"
	"github.com/sluice-gateway/sluice/audit/otlp"
	"github.com/sluice-gateway/sluice/audit/syslog"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/tlsfiles"
)

// openSink makes a sink; none of them connects yet.
func openSink(c config.Sink, log *slog.Logger) (audit.Sink, error) {
	switch {
	case c.JSONL != nil:
		return jsonl.New(c.Name, *c.JSONL), nil
	case c.Syslog != nil:
		trust, err := trusting(c.Syslog.CA, c.Syslog.Address)
		if err != nil {
			return nil, err
		}
		return syslog.New(c.Name, *c.Syslog, trust), nil
	case c.OTLP != nil:
		return openOTLP(c.Name, *c.OTLP, log)
	case c.JetStream != nil:
		trust, err := trusting(c.JetStream.CA, "")
		if err != nil {
			return nil, err
		}
		return jetstream.New(c.Name, *c.JetStream, trust), nil
	}
	return nil, errors.New("no kind of sink is configured") // which config.Validate refuses
}

// trusting is how a server is verified whose authorities are in a file; nil is
// the system's. The file is read now: these connections last.
func trusting(ca access.File, address string) (*tls.Config, error) {
	if ca == "" {
		return nil, nil
	}
	pool, err := tlsfiles.Pool(string(ca))
	if err != nil {
		return nil, err
	}
	c := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if host, _, err := net.SplitHostPort(address); err == nil {
		c.ServerName = host
	}
	return c, nil
}

func openOTLP(name string, c otlp.Config, log *slog.Logger) (audit.Sink, error) {
	by := otlp.Transport{GRPC: insecure.NewCredentials(), HTTP: &http.Transport{ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute}}
	if !c.Secure() {
		return otlp.New(name, c, by)
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, err
	}
	if by.GRPC, err = tlsfiles.Client(tlsfiles.ClientFiles{CA: string(c.CA), ServerName: u.Hostname()}, log); err != nil {
		return nil, err
	}
	trust, err := trusting(c.CA, "")
	if err != nil {
		return nil, err
	}
	by.HTTP = &http.Transport{ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute, TLSClientConfig: trust}
	return otlp.New(name, c, by)
}

// forwarding is the sinks of a gateway at work.
type forwarding struct {
	forwarders []*audit.Forwarder
	running    sync.WaitGroup
	end        context.CancelFunc
}

// forward starts sending a replica's records on to the sinks.
func forward(ctx context.Context, sinks []config.Sink, from audit.Log, replica string, log *slog.Logger) (*forwarding, error) {
	marks, ok := from.(audit.Marks)
	if !ok && len(sinks) > 0 {
		return nil, errors.New("audit.sinks: this log does not keep how far a sink has come")
	}
	f := new(forwarding)
	for i, c := range sinks {
		sink, err := openSink(c, log)
		if err != nil {
			return nil, fmt.Errorf("audit.sinks[%d]: %w", i, err)
		}
		f.forwarders = append(f.forwarders, &audit.Forwarder{Log: from, Marks: marks, Replica: replica, Sink: sink, Logger: log})
	}
	ctx, f.end = context.WithCancel(ctx)
	for _, one := range f.forwarders {
		f.running.Go(func() { one.Run(ctx) })
	}
	return f, nil
}

// close ends the sending. What a sink does not have yet it gets from the next
// process.
func (f *forwarding) close() error {
	if f == nil {
		return nil
	}
	f.end()
	f.running.Wait()
	var all error
	for _, one := range f.forwarders {
		all = errors.Join(all, one.Sink.Close())
	}
	return all
}

var (
	sinkSent = prometheus.NewDesc("sluice_audit_sink_sent_total", "Records that a sink took from this process.", []string{"sink"}, nil)
	sinkLost = prometheus.NewDesc("sluice_audit_sink_lost_total", "Records that were pruned before a sink had them.", []string{"sink"}, nil)
	sinkUp   = prometheus.NewDesc("sluice_audit_sink_up", "Whether a sink took the records that it was sent last.", []string{"sink"}, nil)
)

// Describe is a [prometheus.Collector]'s.
func (f *forwarding) Describe(to chan<- *prometheus.Desc) {
	to <- sinkSent
	to <- sinkLost
	to <- sinkUp
}

// Collect is a [prometheus.Collector]'s.
func (f *forwarding) Collect(to chan<- prometheus.Metric) {
	for _, one := range f.forwarders {
		s := one.Status()
		up := 0.0
		if s.Failing.IsZero() {
			up = 1
		}
		to <- prometheus.MustNewConstMetric(sinkSent, prometheus.CounterValue, float64(s.Sent), s.Name)
		to <- prometheus.MustNewConstMetric(sinkLost, prometheus.CounterValue, float64(s.Lost), s.Name)
		to <- prometheus.MustNewConstMetric(sinkUp, prometheus.GaugeValue, up, s.Name)
	}
}
