package report_test

import (
	"math"
	"testing"

	"github.com/sluice-gateway/sluice/bench/report"
)

var nan = math.NaN()

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestSpread(t *testing.T) {
	tests := map[string]struct {
		give       []float64
		median, q1 float64
		q3         float64
		n          int
	}{
		"none":           {nil, 0, 0, 0, 0},
		"one":            {[]float64{7}, 7, 7, 7, 1},
		"two":            {[]float64{4, 2}, 3, 2.5, 3.5, 2},
		"odd, unsorted":  {[]float64{5, 1, 4, 2, 3}, 3, 2, 4, 5},
		"even":           {[]float64{1, 2, 3, 4}, 2.5, 1.75, 3.25, 4},
		"lacking rounds": {[]float64{nan, 3, math.Inf(1), 1, 2}, 2, 1.5, 2.5, 3},
		"all lacking":    {[]float64{nan, nan}, 0, 0, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := report.NewSpread(tt.give)
			if !near(got.Median, tt.median) || !near(got.Q1, tt.q1) || !near(got.Q3, tt.q3) || got.N != tt.n {
				t.Errorf("got %+v, want %v (%v-%v) of %d", got, tt.median, tt.q1, tt.q3, tt.n)
			}
		})
	}
}

func TestSpreadLeavesItsArgument(t *testing.T) {
	give := []float64{3, 1, 2}
	report.NewSpread(give)
	if give[0] != 3 || give[1] != 1 {
		t.Errorf("sorted the caller's rounds: %v", give)
	}
}

func TestRatiosPairRounds(t *testing.T) {
	tests := map[string]struct {
		a, b   []float64
		median float64
		n      int
	}{
		// The machine is twice as slow in the second round and four times in
		// the third; the ratio within each round is the same.
		"drift cancels out": {[]float64{11, 22, 44}, []float64{10, 20, 40}, 1.1, 3},
		// The ratio of the medians would be 3/2.
		"median of ratios":  {[]float64{1, 3, 8}, []float64{2, 1, 4}, 2, 3},
		"a lacks one":       {[]float64{nan, 6, 8}, []float64{1, 2, 2}, 3.5, 2},
		"b lacks one":       {[]float64{4, 6}, []float64{nan, 2}, 3, 1},
		"nothing to divide": {[]float64{1, 2}, []float64{0, nan}, 0, 0},
		"unequal lengths":   {[]float64{2, 4, 9}, []float64{1, 1}, 3, 2},
		"no rounds":         {nil, []float64{1}, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := report.Ratios(tt.a, tt.b)
			if !near(got.Median, tt.median) || got.N != tt.n {
				t.Errorf("got %+v, want %v of %d", got, tt.median, tt.n)
			}
		})
	}
}
