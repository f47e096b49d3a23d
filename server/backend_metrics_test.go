package server

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-gateway/sluice/backends"
	replicas "github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/config"
)

// TestBackendMetrics: what is scraped is of the pools that are in force.
func TestBackendMetrics(t *testing.T) {
	pool := func(name string, limited int, addresses ...string) *replicas.Pool {
		c := backends.Config{Name: name, Type: "triton", Addresses: addresses, Models: []string{"*"}}
		config.SetDefaults(&c)
		c.Limits.Concurrency = limited
		o := poolOptions(c, gateway{log: slog.New(slog.DiscardHandler)})
		o.Unwatched = true
		p, err := replicas.New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	open := []*replicas.Pool{pool("one", 0, "127.0.0.1:1"), pool("two", 3, "127.0.0.1:1", "127.0.0.1:2")}
	registry := prometheus.NewRegistry()
	registry.MustRegister(newBackendMetrics(func() []*replicas.Pool { return open }))
	got := series(t, registry)
	for name, want := range map[string]string{
		"sluice_backend_sequences one":                   "0",
		"sluice_backend_sequences two":                   "0",
		"sluice_backend_calls_refused_total two":         "0",
		"sluice_backend_calls_refused_total one":         "", // it has no limit
		"sluice_backend_calls_waiting two":               "0",
		"sluice_backend_models_differing two":            "0",
		"sluice_backend_calls_repeated_total two":        "0",
		"sluice_backend_mismatch one":                    "0",
		"sluice_backend_replica_ready two 127.0.0.1:1":   "0",
		"sluice_backend_replica_ready two 127.0.0.1:2":   "0",
		"sluice_backend_replica_ready one 127.0.0.1:1":   "", // nobody asks it
		"sluice_backend_replica_ejected two 127.0.0.1:2": "0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	open = open[:1]
	if got = series(t, registry); got["sluice_backend_replica_ready two 127.0.0.1:1"] != "" || got["sluice_backend_sequences two"] != "" {
		t.Error("a backend that has gone left something behind")
	}
}

// series has the values by name and labels.
func series(t *testing.T, from prometheus.Gatherer) map[string]string {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			all[name] = fmt.Sprint(m.GetGauge().GetValue() + m.GetCounter().GetValue())
		}
	}
	return all
}
