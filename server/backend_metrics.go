package server

import (
	"github.com/prometheus/client_golang/prometheus"

	replicas "github.com/sluice-gateway/sluice/backends/pool"
)

// backendMetrics shows what the pools in force know of their replicas, when it is
// scraped: a replica that has gone leaves nothing behind.
type backendMetrics struct {
	pools func() []*replicas.Pool

	ready, ejected, outstanding        *prometheus.Desc
	inside, waiting, refused, repeated *prometheus.Desc
	sequences, drift, mismatch         *prometheus.Desc
}

func newBackendMetrics(pools func() []*replicas.Pool) *backendMetrics {
	replica := []string{"backend", "replica"}
	backend := []string{"backend"}
	desc := func(name, help string, labels []string) *prometheus.Desc {
		return prometheus.NewDesc("sluice_backend_"+name, help, labels, nil)
	}
	return &backendMetrics{
		pools:       pools,
		ready:       desc("replica_ready", "Whether the replica called itself ready when it was asked last.", replica),
		ejected:     desc("replica_ejected", "Whether the replica gets no calls since too many broke.", replica),
		outstanding: desc("replica_outstanding", "Calls and streams at the replica, with what is unanswered on them.", replica),
		inside:      desc("calls", "Infer calls at the backend, of a backend with limits.", backend),
		waiting:     desc("calls_waiting", "Infer calls that wait for the backend's limit.", backend),
		refused:     desc("calls_refused_total", "Infer calls that the backend's limit refused.", backend),
		repeated:    desc("calls_repeated_total", "Calls that were sent to a second replica.", backend),
		sequences:   desc("sequences", "Stateful sequences that are live at the backend.", backend),
		mismatch:    desc("mismatch", "Replicas that answer as another kind of server than the backend's type, and so get no calls.", backend),
		drift:       desc("models_differing", "Versions of models that the replicas do not have alike.", backend),
	}
}

var _ prometheus.Collector = (*backendMetrics)(nil)

// Describe lists the metrics.
func (m *backendMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.ready, m.ejected, m.outstanding, m.inside, m.waiting, m.refused, m.repeated, m.sequences, m.drift, m.mismatch} {
		to <- d
	}
}

// Collect reads the pools.
func (m *backendMetrics) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for _, p := range m.pools() {
		s := p.Status()
		gauge(m.mismatch, mismatched(s), s.Backend)
		gauge(m.sequences, float64(s.Sequences), s.Backend)
		if s.Limited {
			gauge(m.inside, float64(s.Inside), s.Backend)
			gauge(m.waiting, float64(s.Waiting), s.Backend)
			counter(m.refused, s.Refused, s.Backend)
		}
		if !s.Watched {
			continue
		}
		counter(m.repeated, s.Repeated, s.Backend)
		gauge(m.drift, float64(len(s.Drift)), s.Backend)
		for _, r := range s.Replicas {
			gauge(m.ready, truth(r.Health == "ready"), s.Backend, r.Address)
			gauge(m.ejected, truth(r.Ejected), s.Backend, r.Address)
			gauge(m.outstanding, float64(r.Outstanding), s.Backend, r.Address)
		}
	}
}

// mismatched is how many replicas are another kind of server.
func mismatched(s replicas.Status) (n float64) {
	for _, r := range s.Replicas {
		n += truth(r.Mismatch != "")
	}
	return n
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
