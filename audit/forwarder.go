package audit

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Limits of forwarding.
const (
	// forwardBatch is how many records a sink is sent at once, at most.
	forwardBatch = 512
	// forwardTime bounds one sending: a sink that hangs is tried anew.
	forwardTime = 30 * time.Second
	// forwardIdle is how often a log is looked at that nobody has said is longer.
	forwardIdle = time.Second
	// forwardFirst and forwardLast bound the pauses after failures.
	forwardFirst = 500 * time.Millisecond
	forwardLast  = time.Minute
)

// Forwarder sends one replica's records from the log to a sink: each at least
// once, in their order, from where it was left by the process before. The sink
// slows down or stops nobody: its records wait in the log.
type Forwarder struct {
	Log Log
	// Marks keeps how far the sink has come.
	Marks   Marks
	Replica string
	Sink    Sink
	Logger  *slog.Logger
	// Wake, if not nil, hears that there are more records; it never has to wait.
	Wake <-chan struct{}

	mu     sync.Mutex
	status SinkStatus
}

// SinkStatus is how far a sink has come.
type SinkStatus struct {
	Name string
	// Sent counts records that the sink took in this process, Lost those that were
	// pruned from the log before it did, or damaged in it.
	Sent, Lost uint64
	// Next is the seq of the record to be sent next, as far as is known.
	Next uint64
	// Failing is since when it takes none; the zero time is not at all.
	Failing time.Time
}

// Status is safe to call at any time.
func (f *Forwarder) Status() SinkStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	s.Name = f.Sink.Name()
	return s
}

// Run sends until ctx ends. It returns when the sink has been told so.
func (f *Forwarder) Run(ctx context.Context) {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		more, err := f.step(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			f.failed(ctx, err)
			pause = min(max(2*pause, forwardFirst), forwardLast)
			f.sleep(ctx, pause/2+rand.N(pause/2), nil)
		case !more:
			pause = 0
			f.sleep(ctx, forwardIdle, f.Wake)
		default:
			pause = 0
		}
	}
}

// step sends one batch, and tells whether there was one.
func (f *Forwarder) step(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, forwardTime)
	defer cancel()
	mark, err := f.Marks.Mark(ctx, f.Sink.Name())
	if err != nil {
		return false, err
	}
	var batch []Entry
	next := mark
	for found, err := range f.Log.Search(ctx, Query{Replica: f.Replica, Oldest: true, After: mark, Limit: forwardBatch}) {
		if damaged := (*DamagedError)(nil); errors.As(err, &damaged) {
			continue // nobody will ever read those: they are counted as what is missing between the others
		}
		if err != nil {
			return false, err
		}
		batch, next = append(batch, found.Entry), found.Cursor
	}
	if len(batch) == 0 {
		return false, nil
	}
	f.missing(ctx, mark != "", batch[0].Record.Seq)
	if err := f.Sink.Send(ctx, batch); err != nil {
		return false, err
	}
	if err := f.Marks.SetMark(ctx, f.Sink.Name(), next); err != nil {
		return false, err // they are sent again: at least once
	}
	f.sent(ctx, batch)
	return true, nil
}

// missing counts what was pruned between what the sink had and what it gets.
func (f *Forwarder) missing(ctx context.Context, begun bool, first uint64) {
	f.mu.Lock()
	lost := uint64(0)
	if f.status.Sent > 0 && first > f.status.Next {
		lost = first - f.status.Next
		f.status.Next = first // counted once, however often the batch is sent
	}
	f.status.Lost += lost
	f.mu.Unlock()
	if lost > 0 && begun {
		f.Logger.LogAttrs(ctx, slog.LevelError, "records are missing in an audit sink: they were pruned before it had them, or are damaged in the log",
			slog.String("sink", f.Sink.Name()), slog.Uint64("lost", lost))
	}
}

func (f *Forwarder) sent(ctx context.Context, batch []Entry) {
	f.mu.Lock()
	since := f.status.Failing
	f.status.Failing = time.Time{}
	f.status.Sent += uint64(len(batch))
	f.status.Next = batch[len(batch)-1].Record.Seq + 1
	f.mu.Unlock()
	if !since.IsZero() {
		f.Logger.LogAttrs(ctx, slog.LevelInfo, "audit sink takes records again", slog.String("sink", f.Sink.Name()))
	}
}

// failed says once that a sink takes no records, not at each try.
func (f *Forwarder) failed(ctx context.Context, err error) {
	f.mu.Lock()
	first := f.status.Failing.IsZero()
	if first {
		f.status.Failing = time.Now()
	}
	f.mu.Unlock()
	if first {
		f.Logger.LogAttrs(ctx, slog.LevelWarn, "audit sink takes no records; they wait in the log",
			slog.String("sink", f.Sink.Name()), slog.Any("error", err))
	}
}

func (f *Forwarder) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-wake:
	}
}
