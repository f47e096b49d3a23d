package report

import (
	"math"
	"slices"
)

// Spread is the median of some values, and their quartiles.
type Spread struct {
	Median float64 `json:"median"`
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
	N      int     `json:"n"`
}

// NewSpread leaves out what is no number. Quartiles lie between the two
// nearest values as their rank does (R's type 7, numpy's default).
func NewSpread(values []float64) Spread {
	var sorted []float64
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			sorted = append(sorted, v)
		}
	}
	slices.Sort(sorted)
	return Spread{
		Median: quantile(sorted, 0.5), Q1: quantile(sorted, 0.25), Q3: quantile(sorted, 0.75),
		N: len(sorted),
	}
}

func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := q * float64(len(sorted)-1)
	low := int(rank)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (rank-float64(low))*(sorted[high]-sorted[low])
}

// Ratios gives the spread of a[i]/b[i]: each round against the same round,
// so that what slows the whole machine for a while cancels out. A round that
// either lacks is left out.
func Ratios(a, b []float64) Spread {
	var out []float64
	for i := range min(len(a), len(b)) {
		out = append(out, a[i]/b[i])
	}
	return NewSpread(out)
}
