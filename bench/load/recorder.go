package load

import (
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/bench/hist"
)

// phase says whether what happens now counts.
type phase struct{ v atomic.Int32 }

const (
	warming int32 = iota
	measuring
	over
)

func (p *phase) is(v int32) bool { return p.v.Load() == v }
func (p *phase) set(v int32)     { p.v.Store(v) }

// recorder keeps what one caller saw; one goroutine writes to it.
type recorder struct {
	latency       hist.Hist
	calls, tokens uint64
	errors        uint64
	first         error
}

func (r *recorder) call(d time.Duration) {
	r.calls++
	r.latency.Record(d)
}

func (r *recorder) token(d time.Duration) {
	r.tokens++
	r.latency.Record(d)
}

func (r *recorder) fail(err error) {
	r.errors++
	if r.first == nil {
		r.first = err
	}
}

// into adds what all callers saw to res.
func into(res *Result, all []*recorder) {
	var h hist.Hist
	for _, r := range all {
		h.Merge(&r.latency)
		res.Calls += r.calls
		res.Tokens += r.tokens
		res.Errors += r.errors
		if r.first != nil && res.FirstError == "" {
			res.FirstError = r.first.Error()
		}
	}
	res.Latency = h.Summary()
}
