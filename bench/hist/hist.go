// Package hist counts durations in buckets whose width is a fixed share of
// their value, as HdrHistogram does: 1/128, so that a percentile is within
// 0.8 % of the true one, from nanoseconds to hours, in a fixed 30 KiB.
package hist

import (
	"math"
	"math/bits"
	"time"
)

const (
	subBits = 7            // 2^7 buckets for each doubling
	subs    = 1 << subBits // below 2*subs ns each value has its own bucket
	buckets = (64 - subBits) * subs
)

// Hist is a histogram of durations. The zero value is ready for use. One
// goroutine at a time may use it; give each its own and [Hist.Merge] them.
type Hist struct {
	counts   [buckets]uint32
	n        uint64
	sum      float64
	min, max time.Duration
}

// Record counts d; a negative one counts as 0.
func (h *Hist) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[index(uint64(d))]++
	if h.n == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.n++
	h.sum += float64(d)
}

// Merge adds what other counted.
func (h *Hist) Merge(other *Hist) {
	if other.n == 0 {
		return
	}
	for i, c := range other.counts {
		h.counts[i] += c
	}
	if h.n == 0 || other.min < h.min {
		h.min = other.min
	}
	h.max = max(h.max, other.max)
	h.n += other.n
	h.sum += other.sum
}

// Count is the number of recorded durations.
func (h *Hist) Count() uint64 { return h.n }

// Quantile gives the smallest bucket's middle at or below which the share q
// (0 to 1) of the durations lies, 0 for an empty histogram.
func (h *Hist) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(q*float64(h.n))), 1)
	var seen uint64
	for i, c := range h.counts {
		seen += uint64(c)
		if seen >= rank {
			return min(max(middle(i), h.min), h.max)
		}
	}
	return h.max
}

// index gives the bucket of v: v itself while small, then the exponent and
// the subBits bits below the leading one.
func index(v uint64) int {
	if v < subs {
		return int(v)
	}
	exp := bits.Len64(v) - 1 - subBits
	return exp<<subBits + int(v>>exp)
}

func middle(i int) time.Duration {
	if i < 2*subs {
		return time.Duration(i)
	}
	exp := i>>subBits - 1
	low := uint64(i&(subs-1)+subs) << exp
	return time.Duration(low + uint64(1)<<exp/2)
}

// Summary is what is reported of a histogram, in microseconds.
type Summary struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean_us"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p999_us"`
	Max   float64 `json:"max_us"`
}

// Summary computes the reported figures.
func (h *Hist) Summary() Summary {
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	s := Summary{
		Count: h.n,
		P50:   us(h.Quantile(0.5)), P90: us(h.Quantile(0.9)),
		P99: us(h.Quantile(0.99)), P999: us(h.Quantile(0.999)), Max: us(h.max),
	}
	if h.n > 0 {
		s.Mean = h.sum / float64(h.n) / float64(time.Microsecond)
	}
	return s
}
