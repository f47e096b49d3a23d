package hist_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/bench/hist"
)

// exact is the nearest-rank quantile of sorted values.
func exact(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(int(math.Ceil(q*float64(len(sorted)))), 1)-1]
}

func TestQuantileNearExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	draws := map[string]func() time.Duration{
		"tiny":        func() time.Duration { return time.Duration(r.IntN(300)) },
		"uniform":     func() time.Duration { return time.Duration(r.IntN(1e7)) },
		"exponential": func() time.Duration { return time.Duration(r.ExpFloat64() * 2e5) },
		"wide":        func() time.Duration { return time.Duration(math.Exp(r.Float64() * 28)) },
		"constant":    func() time.Duration { return 123456 },
	}
	for name, draw := range draws {
		t.Run(name, func(t *testing.T) {
			var h hist.Hist
			all := make([]time.Duration, 20000)
			for i := range all {
				all[i] = draw()
				h.Record(all[i])
			}
			slices.Sort(all)
			for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
				got, want := h.Quantile(q), exact(all, q)
				if off := math.Abs(float64(got - want)); off > float64(want)/128+0.5 {
					t.Errorf("quantile %v = %d, want %d within 1/128", q, got, want)
				}
			}
		})
	}
}

func TestMergeEqualsOne(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var whole, merged hist.Hist
	parts := make([]hist.Hist, 4) // the last stays empty
	for i := range 9000 {
		d := time.Duration(r.ExpFloat64() * 1e6)
		whole.Record(d)
		parts[i%3].Record(d)
	}
	for i := range parts {
		merged.Merge(&parts[i])
	}
	got, want := merged.Summary(), whole.Summary()
	if math.Abs(got.Mean-want.Mean) > 1e-6*want.Mean { // sums differ by rounding alone
		t.Errorf("mean = %v, want %v", got.Mean, want.Mean)
	}
	got.Mean = want.Mean
	if got != want {
		t.Errorf("merged %+v, want %+v", got, want)
	}
}

func TestEdges(t *testing.T) {
	var empty hist.Hist
	if s := empty.Summary(); s != (hist.Summary{}) {
		t.Errorf("empty summary = %+v", s)
	}
	tests := map[string]struct{ give, want time.Duration }{
		"negative counts as nought": {-5, 0},
		"nought":                    {0, 0},
		"last of its own":           {255, 255},
		"first shared":              {256, 256},
		"an hour":                   {time.Hour, time.Hour},
		"the largest":               {math.MaxInt64, math.MaxInt64},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var h hist.Hist
			h.Record(tt.give)
			// One value is its own least and greatest, so it comes back whole.
			if got := h.Quantile(0.5); got != tt.want || h.Count() != 1 {
				t.Errorf("median of one %d = %d (count %d)", tt.give, got, h.Count())
			}
		})
	}
}

func TestSummaryUnits(t *testing.T) {
	var h hist.Hist
	for i := 1; i <= 1000; i++ {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	s := h.Summary()
	want := hist.Summary{Count: 1000, Mean: 500.5, P50: 500, P90: 900, P99: 990, P999: 999, Max: 1000}
	for name, pair := range map[string][2]float64{
		"mean": {s.Mean, want.Mean}, "p50": {s.P50, want.P50}, "p90": {s.P90, want.P90},
		"p99": {s.P99, want.P99}, "p99.9": {s.P999, want.P999}, "max": {s.Max, want.Max},
	} {
		if math.Abs(pair[0]-pair[1]) > pair[1]/128 {
			t.Errorf("%s = %v us, want %v", name, pair[0], pair[1])
		}
	}
}
