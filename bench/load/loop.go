package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// operation is one call of the caller with that number. A stream's writes its
// tokens to r; the latency of other calls is the loop's to write.
type operation func(ctx context.Context, caller int, r *recorder) error

// callers runs body in n goroutines, each with a recorder of its own, and
// gives the recorders and a function that waits for all to end.
func callers(n int, body func(i int, r *recorder)) ([]*recorder, func()) {
	all := make([]*recorder, n)
	var wg sync.WaitGroup
	for i := range all {
		all[i] = new(recorder)
		wg.Go(func() { body(i, all[i]) })
	}
	return all, wg.Wait
}

// closedLoop has n callers repeat op until p is over; what ends while p is
// measuring counts. Errors that come when it is over are those of its end.
func closedLoop(ctx context.Context, n int, p *phase, op operation) ([]*recorder, func()) {
	return callers(n, func(i int, r *recorder) {
		for !p.is(over) && ctx.Err() == nil {
			start := time.Now()
			if err := op(ctx, i, r); err != nil {
				if !p.is(over) {
					r.fail(err)
					pause(ctx, errorPause)
				}
				continue
			}
			if p.is(measuring) {
				r.call(time.Since(start))
			}
		}
	})
}

// errorPause keeps a target that refuses at once from being asked in a spin.
const errorPause = 10 * time.Millisecond

// streamLoop is closedLoop for operations that record tokens: the length of a
// whole stream is no latency, so it is only counted.
func streamLoop(ctx context.Context, n int, p *phase, op operation) ([]*recorder, func()) {
	return callers(n, func(i int, r *recorder) {
		for !p.is(over) && ctx.Err() == nil {
			if err := op(ctx, i, r); err != nil {
				if !p.is(over) {
					r.fail(err)
					pause(ctx, errorPause)
				}
				continue
			}
			if p.is(measuring) {
				r.calls++
			}
		}
	})
}

// openLoop makes a call every 1/rate seconds from first to end, with n at
// most at once. A call that finds no free caller starts late, but its latency
// counts from when it was due. Calls due from begin on count.
func openLoop(ctx context.Context, n int, rate float64, first, begin, end time.Time, op operation) ([]*recorder, func()) {
	var next atomic.Int64
	return callers(n, func(i int, r *recorder) {
		for {
			due := first.Add(time.Duration(float64(next.Add(1)-1) / rate * float64(time.Second)))
			if !due.Before(end) || !pause(ctx, time.Until(due)) {
				return
			}
			if err := op(ctx, i, r); err != nil {
				r.fail(err)
				continue
			}
			if !due.Before(begin) {
				r.call(time.Since(due))
			}
		}
	})
}

// pause waits for d and tells whether ctx is still good.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
