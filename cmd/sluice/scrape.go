package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	// scrapeTimeout bounds the reading of a gateway's metrics.
	scrapeTimeout = 3 * time.Second
	// maxScrape bounds their size, in bytes.
	maxScrape = 32 << 20
)

// scraped is what a gateway's metrics said.
type scraped struct {
	from     string
	families map[string]*dto.MetricFamily
}

// scrape reads the metrics of the gateway that listens at address, as it stands in
// the configuration; nil where none answers.
func scrape(ctx context.Context, address string) *scraped {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil // "off"
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	s := &scraped{from: net.JoinHostPort(host, port)}
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.from+"/metrics", nil)
	if err != nil {
		return nil
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	s.families, err = parser.TextToMetricFamilies(io.LimitReader(resp.Body, maxScrape))
	if err != nil || s.families["sluice_backend_sequences"] == nil {
		return nil // whatever it is, it is no gateway
	}
	return s
}

// value is a metric's value for a backend's replica.
func (s *scraped) value(name, backend, replica string) (float64, bool) {
	if s == nil {
		return 0, false
	}
	for _, m := range s.families[name].GetMetric() {
		labels := make(map[string]string, len(m.GetLabel()))
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if labels["backend"] == backend && labels["replica"] == replica {
			return m.GetGauge().GetValue(), true
		}
	}
	return 0, false
}
