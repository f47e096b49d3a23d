package report

import (
	"math"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/scenario"
)

// Figures is what one round of one scenario gave for one target, per unit: a
// call, a token, or a waiting stream. NaN stands for what was not measured.
type Figures struct {
	Rate       float64 // units a second
	P50, P90   float64 // microseconds, as the next two
	P99, P999  float64
	CPU        float64 // the proxy's microseconds per unit
	BackendCPU float64 // the backend's
	PeakMiB    float64 // resident memory at its peak, less that before the first connection
	Allocs     float64 // heap allocations per unit
	AllocBytes float64
	KiBPerIdle float64 // resident memory per waiting stream or held call
	ReleasedMs float64 // from an approval to the last answer
	Errors     float64
}

const (
	bytesPerKiB = 1 << 10
	bytesPerMiB = 1 << 20
)

// NewFigures computes the figures of one result.
func NewFigures(s scenario.Scenario, r load.Result) Figures {
	units := float64(r.Calls)
	if s.Tokens() {
		units = float64(r.Tokens)
	}
	per := func(total float64) float64 {
		if total <= 0 || units == 0 {
			return math.NaN()
		}
		return total / units
	}
	f := Figures{
		Rate: units / r.Seconds,
		P50:  r.Latency.P50, P90: r.Latency.P90, P99: r.Latency.P99, P999: r.Latency.P999,
		CPU:        per(float64((r.After.CPU - r.Before.CPU).Microseconds())),
		BackendCPU: per(float64(r.BackendCPU.Microseconds())),
		PeakMiB:    math.NaN(),
		Allocs:     per(float64(r.Heap.Mallocs)),
		AllocBytes: per(float64(r.Heap.Bytes)),
		KiBPerIdle: math.NaN(),
		ReleasedMs: math.NaN(),
		Errors:     float64(r.Errors),
	}
	if r.Idle.RSS > 0 {
		f.PeakMiB = (float64(r.After.Peak) - float64(r.Idle.RSS)) / bytesPerMiB
	}
	if s.Idle() {
		f.Rate, f.CPU, f.BackendCPU, f.Allocs, f.AllocBytes = math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN()
		f.P50, f.P90, f.P99, f.P999 = math.NaN(), math.NaN(), math.NaN(), math.NaN()
		f.KiBPerIdle = per((float64(r.After.RSS) - float64(r.Before.RSS)) / bytesPerKiB)
	}
	if s.Held() {
		f.ReleasedMs = float64(r.Released.Microseconds()) / 1000
	}
	return f
}

// Metric is one figure: how it is called and read.
type Metric struct {
	Key, Title string
	Get        func(Figures) float64
}

// Metrics gives the figures that a table shows, in its order.
func Metrics(s scenario.Scenario) []Metric {
	if s.Idle() {
		return []Metric{KiBPerIdle, PeakMiB, ReleasedMs}
	}
	unit := "call"
	if s.Tokens() {
		unit = "token"
	}
	return []Metric{
		{"rate", unit + "s/s", func(f Figures) float64 { return f.Rate }},
		P50,
		{"p90_us", "p90 µs", func(f Figures) float64 { return f.P90 }},
		{"p99_us", "p99 µs", func(f Figures) float64 { return f.P99 }},
		{"p999_us", "p99.9 µs", func(f Figures) float64 { return f.P999 }},
		{CPU.Key, "CPU µs/" + unit, CPU.Get},
		PeakMiB,
		{"allocs", "allocs/" + unit, func(f Figures) float64 { return f.Allocs }},
		{"alloc_bytes", "bytes/" + unit, func(f Figures) float64 { return f.AllocBytes }},
		{"backend_cpu_us", "backend µs/" + unit, func(f Figures) float64 { return f.BackendCPU }},
	}
}

// The figures that bars speak of.
var (
	CPU        = Metric{"cpu_us", "CPU µs", func(f Figures) float64 { return f.CPU }}
	P50        = Metric{"p50_us", "p50 µs", func(f Figures) float64 { return f.P50 }}
	PeakMiB    = Metric{"peak_mib", "peak − idle MiB", func(f Figures) float64 { return f.PeakMiB }}
	KiBPerIdle = Metric{"kib_per_stream", "KiB/stream", func(f Figures) float64 { return f.KiBPerIdle }}
	ReleasedMs = Metric{"released_ms", "all ms", func(f Figures) float64 { return f.ReleasedMs }}
)
