package load

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/bench/hist"
)

// stalling gives an operation of 1 ms whose calls in the second second of the
// test all wait for that second's end: a target that hangs once.
func stalling(start time.Time) operation {
	return func(ctx context.Context, _ int, _ *recorder) error {
		if since := time.Since(start); since >= time.Second && since < 2*time.Second {
			pause(ctx, 2*time.Second-since)
		}
		pause(ctx, time.Millisecond)
		return nil
	}
}

func merged(all []*recorder) Result {
	var res Result
	into(&res, all)
	return res
}

// near fails unless got is within a percent of want, the histogram's width.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got < want*0.99 || got > want*1.01 {
		t.Errorf("%s = %v us, want %v", what, got, want)
	}
}

func TestOpenLoopCorrectsCoordinatedOmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		// 100 calls a second for 4 s, of which those of one second stall.
		all, wait := openLoop(t.Context(), 2, 100, start, start, start.Add(4*time.Second), stalling(start))
		wait()
		got := merged(all)
		if got.Calls != 400 {
			t.Fatalf("%d calls, want each of the 400 that were due", got.Calls)
		}
		// A quarter of the calls waited up to a second, evenly; two callers
		// then work off the queue in 100 / 2 ms.
		near(t, "p50", got.Latency.P50, 1000)
		near(t, "max", got.Latency.Max, 1001e3)
		if p90 := got.Latency.P90; p90 < 550e3 || p90 > 700e3 {
			t.Errorf("p90 = %v us: the calls held up by the stall are missing", p90)
		}
	})
}

func TestClosedLoopSeesOneStallPerCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p phase
		p.set(measuring)
		all, wait := closedLoop(t.Context(), 2, &p, stalling(time.Now()))
		time.Sleep(4 * time.Second)
		p.set(over)
		wait()
		got := merged(all)
		near(t, "p99.9", got.Latency.P999, 1000)
		near(t, "max", got.Latency.Max, 1001e3)
	})
}

func TestOpenLoopLeavesOutWarmUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		begin, end := start.Add(time.Second), start.Add(3*time.Second)
		var calls int
		all, wait := openLoop(t.Context(), 1, 50, start, begin, end,
			func(context.Context, int, *recorder) error { calls++; return nil })
		wait()
		if got := merged(all); got.Calls != 100 || calls != 150 {
			t.Errorf("%d of %d calls count, want 100 of 150", got.Calls, calls)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p phase
		all, wait := closedLoop(t.Context(), 3, &p, func(ctx context.Context, _ int, _ *recorder) error {
			pause(ctx, 10*time.Millisecond)
			return nil
		})
		time.Sleep(time.Second + 5*time.Millisecond)
		p.set(measuring)
		time.Sleep(time.Second)
		p.set(over)
		wait()
		if got := merged(all); got.Calls != 300 {
			t.Errorf("%d calls count, want the 300 of the second that is measured", got.Calls)
		}
	})
}

func TestErrorsCount(t *testing.T) {
	broken := errors.New("broken")
	loops := map[string]loop{"closed": closedLoop, "stream": streamLoop}
	for name, run := range loops {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p phase // errors of the warm-up count too
				all, wait := run(t.Context(), 2, &p, func(context.Context, int, *recorder) error { return broken })
				time.Sleep(10*errorPause - errorPause/2)
				p.set(over)
				wait()
				got := merged(all)
				if got.Errors != 20 || got.Calls != 0 || got.FirstError != "broken" {
					t.Errorf("%d errors (%q), %d calls, want 20 and none", got.Errors, got.FirstError, got.Calls)
				}
			})
		})
	}
}

func TestErrorsOfTheEndDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var p phase
		all, wait := streamLoop(ctx, 1, &p, func(ctx context.Context, _ int, r *recorder) error {
			r.token(0)
			<-ctx.Done()
			return ctx.Err()
		})
		synctest.Wait()
		p.set(over)
		cancel()
		wait()
		if got := merged(all); got.Errors != 0 || got.Tokens != 1 {
			t.Errorf("%d errors, %d tokens", got.Errors, got.Tokens)
		}
	})
}

func TestIntoAddsUp(t *testing.T) {
	a, b := new(recorder), new(recorder)
	a.call(time.Millisecond)
	a.token(3 * time.Millisecond)
	b.call(2 * time.Millisecond)
	b.fail(errors.New("first"))
	b.fail(errors.New("second"))
	var h hist.Hist
	for _, d := range []time.Duration{1, 2, 3} {
		h.Record(d * time.Millisecond)
	}
	got := merged([]*recorder{a, b})
	want := Result{Calls: 2, Tokens: 1, Errors: 2, FirstError: "first", Latency: h.Summary()}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
