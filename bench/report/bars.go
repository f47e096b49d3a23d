package report

import (
	"math"

	"github.com/sluice-gateway/sluice/bench/scenario"
	"github.com/sluice-gateway/sluice/bench/target"
)

var nan = math.NaN()

// Bar is a promise: Sluice's figure is at most Limit times the base's, or, if
// there is no base, at most Limit.
type Bar struct {
	What     string
	Scenario string
	Metric   Metric
	Base     string
	Limit    float64
	// Added takes the direct path's figure off both first: what the proxy adds.
	Added bool
}

// Bars gives the promises that this benchmark can check.
func Bars() []Bar {
	return []Bar{
		{"CPU per small infer, 16 callers", scenario.Small16, CPU, target.Pipe, 1.0, false},
		{"CPU per small infer, 16 callers", scenario.Small16, CPU, target.EnvoyJWT, 0.9, false},
		{"CPU per small infer, 16 callers", scenario.Small16, CPU, target.EnvoyExtProc, 0.25, false},
		{"CPU per small infer, 16 callers", scenario.Small16, CPU, target.EnvoyBoth, 0.25, false},
		{"CPU per 1 MiB infer", scenario.MiB1, CPU, target.EnvoyExtProc, 0.35, false},
		{"CPU per 1 MiB infer", scenario.MiB1, CPU, target.EnvoyBoth, 0.35, false},
		{"CPU per paced token", scenario.Paced, CPU, target.EnvoyExtProc, 0.5, false},
		{"CPU per paced token", scenario.Paced, CPU, target.EnvoyBoth, 0.5, false},
		{"p50 added to a small infer, 1 caller", scenario.Small1, P50, target.Pipe, 1.15, true},
		{"CPU per 16 MiB infer", scenario.MiB16, CPU, target.Pipe, 1.1, false},
		{"peak RSS less idle, 16 MiB infers", scenario.MiB16, PeakMiB, target.Pipe, 1.2, false},
		{"CPU per token, as fast as they go", scenario.Tokens, CPU, target.Pipe, 1.25, false},
		{"CPU per paced token", scenario.Paced, CPU, target.Pipe, 1.25, false},
		{"KiB held per waiting stream", scenario.Idle, KiBPerIdle, "", 40, false},
	}
}

// Held is how a bar came out.
type Held struct {
	Bar   Bar
	Value Spread
	Met   bool
}

// Judge compares the run with the bars. A bar whose scenario or targets were
// not measured is left out.
func (r *Run) Judge() []Held {
	var out []Held
	for _, b := range Bars() {
		s, ok := r.scenario(b.Scenario)
		if !ok {
			continue
		}
		ours := r.figures(s, target.Sluice, b.Metric)
		var v Spread
		if b.Base == "" {
			v = NewSpread(ours)
		} else {
			base := r.figures(s, b.Base, b.Metric)
			if b.Added {
				direct := r.figures(s, target.Direct, b.Metric)
				ours, base = less(ours, direct), less(base, direct)
			}
			v = Ratios(ours, base)
		}
		if v.N > 0 {
			out = append(out, Held{Bar: b, Value: v, Met: v.Median <= b.Limit})
		}
	}
	return out
}

// less gives a[i]-b[i].
func less(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - b[i]
	}
	return out
}
