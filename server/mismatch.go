package server

import (
	"github.com/prometheus/client_golang/prometheus"

	replicas "github.com/sluice-gateway/sluice/backends/pool"
)

// mismatches is the metric of servers that answer as another kind than their
// backend's type. It is counted when it is asked for, so that a reload leaves
// nothing behind.
type mismatches struct{ server *Server }

var mismatchDesc = prometheus.NewDesc("sluice_backend_mismatch",
	"Replicas of a backend that answer as another kind of server than its type, and so get no calls.", []string{"backend"}, nil)

// Describe is the one metric there is.
func (m mismatches) Describe(out chan<- *prometheus.Desc) { out <- mismatchDesc }

// Collect counts.
func (m mismatches) Collect(out chan<- prometheus.Metric) {
	for _, b := range m.server.state.Load().pool.open {
		p, ok := b.(*replicas.Pool)
		if !ok {
			continue
		}
		var wrong float64
		for _, r := range p.Status().Replicas {
			if r.Mismatch != "" {
				wrong++
			}
		}
		out <- prometheus.MustNewConstMetric(mismatchDesc, prometheus.GaugeValue, wrong, b.Name())
	}
}
