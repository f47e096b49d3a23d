package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/bench/probe"
)

// drainLimit bounds the wait for calls that are under way when a measurement
// is over; overhead what else a run may take beside its warm-up and duration.
const (
	drainLimit = 10 * time.Second
	overhead   = 60 * time.Second
)

// Run makes one measurement. It ends by itself, after Spec.Warmup and
// Spec.Duration and a minute at most. An error means that nothing could be
// measured; calls that fail are counted in the result.
func Run(ctx context.Context, s Spec) (Result, error) {
	if err := s.validate(); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Warmup+s.Duration+overhead)
	defer cancel()
	m := &measurement{Spec: s}
	if err := m.idle(); err != nil {
		return Result{}, err
	}
	c, err := dial(s)
	if err != nil {
		return Result{}, err
	}
	defer c.Close()
	ctx = withToken(ctx, s.Token)
	if s.Mode == Held { // a first call would be held
		err = m.held(ctx, c)
		return m.res, err
	}
	if err := c.check(ctx); err != nil {
		return Result{}, fmt.Errorf("first call: %w", err)
	}
	switch s.Mode {
	case Closed:
		err = m.timed(ctx, c.infer, closedLoop)
	case Stream, First:
		err = m.timed(ctx, m.tokens(c), streamLoop)
	case Open:
		err = m.rated(ctx, c.infer)
	case Idle:
		err = m.waiting(ctx, c)
	default:
		err = fmt.Errorf("unknown mode %q", s.Mode)
	}
	return m.res, err
}

// measurement is a run under way.
type measurement struct {
	Spec
	phase   phase
	res     Result
	heap    probe.Heap
	backend time.Duration
}

// idle looks at the proxy before it has a connection of ours.
func (m *measurement) idle() (err error) {
	// Where the peak can't be reset, it is that since the start: the same
	// thing, as each target is started anew.
	_ = m.Proxy.ResetPeak()
	m.res.Idle, err = m.Proxy.Take()
	return err
}

func (m *measurement) begin(ctx context.Context) error {
	m.heap = m.Proxy.TakeHeap(ctx)
	backend, err := m.Backend.Take()
	if err != nil {
		return err
	}
	m.backend = backend.CPU
	m.res.Before, err = m.Proxy.Take()
	return err
}

func (m *measurement) end(ctx context.Context) (err error) {
	m.res.After, err = m.Proxy.Take()
	if err != nil {
		return err
	}
	backend, err := m.Backend.Take()
	if err != nil {
		return err
	}
	m.res.BackendCPU = backend.CPU - m.backend
	m.res.Seconds = m.res.After.At.Sub(m.res.Before.At).Seconds()
	heap := m.Proxy.TakeHeap(ctx)
	m.res.Heap = probe.Heap{Mallocs: heap.Mallocs - m.heap.Mallocs, Bytes: heap.Bytes - m.heap.Bytes}
	return nil
}

type loop func(context.Context, int, *phase, operation) ([]*recorder, func())

// timed measures a loop that goes on until it is told to stop.
func (m *measurement) timed(ctx context.Context, op operation, run loop) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all, wait := run(ctx, m.Callers, &m.phase, m.staggered(op))
	pause(ctx, m.Warmup)
	err := m.begin(ctx)
	m.phase.set(measuring)
	pause(ctx, m.Duration)
	m.phase.set(over)
	err = errors.Join(err, m.end(ctx))
	if m.Mode == Stream {
		cancel() // a paced stream would go on for seconds
	}
	late := time.AfterFunc(drainLimit, cancel)
	wait()
	if inTime := late.Stop(); !inTime && m.Mode != Stream {
		err = errors.Join(err, fmt.Errorf("calls went on for %v after the end", drainLimit))
	}
	into(&m.res, all)
	return err
}

// staggered spreads the first paced streams over one interval, so that their
// tokens do not all come at once.
func (m *measurement) staggered(op operation) operation {
	if m.Ask.Interval == 0 {
		return op
	}
	started := make([]bool, m.Callers)
	return func(ctx context.Context, caller int, r *recorder) error {
		if !started[caller] {
			started[caller] = true
			pause(ctx, m.Ask.Interval*time.Duration(caller)/time.Duration(m.Callers))
		}
		return op(ctx, caller, r)
	}
}

// rated measures the open loop, until all calls that were due have ended.
func (m *measurement) rated(ctx context.Context, op operation) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := time.Now()
	begin := first.Add(m.Warmup)
	end := begin.Add(m.Duration)
	all, wait := openLoop(ctx, m.Callers, m.Rate, first, begin, end, op)
	pause(ctx, m.Warmup)
	err := m.begin(ctx)
	late := time.AfterFunc(time.Until(end)+drainLimit, cancel)
	defer late.Stop()
	wait()
	pause(ctx, time.Until(end))
	err = errors.Join(err, m.end(ctx))
	m.res.Seconds = m.res.After.At.Sub(begin).Seconds()
	into(&m.res, all)
	return err
}

// waiting opens the streams and measures while they wait.
func (m *measurement) waiting(ctx context.Context, c door) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	streams := make([]answers, 0, m.Callers)
	r := new(recorder)
	for i := range m.Callers {
		s, err := c.open(ctx, i, m.Ask)
		if err == nil {
			_, err = s.next()
		}
		if err != nil {
			r.fail(fmt.Errorf("stream %d: %w", i, err))
			break
		}
		streams = append(streams, s)
	}
	pause(ctx, m.Duration)
	err := m.end(ctx)
	r.calls = uint64(len(streams))
	into(&m.res, []*recorder{r})
	return err
}

// Check makes one call on each connection and compares the whole answer. Of
// the specification it takes address, door, token, connections and what to ask.
func Check(ctx context.Context, s Spec) error {
	c, err := dial(s)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.check(withToken(ctx, s.Token))
}
