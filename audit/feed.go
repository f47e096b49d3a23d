package audit

import (
	"context"
	"log/slog"
	"strconv"
	"time"
)

const (
	// feedBatch is how many records a sink gets at once, feedTime how long it may take.
	feedBatch = 500
	feedTime  = 30 * time.Second
	// pruneEvery is how often old records are looked for, pruneTime how long deleting
	// them may go on at once.
	pruneEvery = 10 * time.Minute
	pruneTime  = time.Minute
)

// feed sends to one sink what is in the log, from where it was, until the recorder
// ends. A sink that is slow or away holds up nobody: what it has not got is in the
// log.
func (r *Recorder) feed(s Sink) {
	ctx, cancel := r.untilStopped()
	defer cancel()
	marks, _ := r.o.Log.(Marks)
	cursor := ""
	if marks != nil {
		for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
			var err error
			if cursor, err = marks.Mark(ctx, s.Name()); err == nil {
				break
			}
			r.pause(ctx, pause)
		}
	}
	pause := firstPause
	for ctx.Err() == nil {
		seen := r.written.Load()
		next, err := r.hand(ctx, s, cursor)
		if err != nil {
			r.o.Logger.LogAttrs(ctx, slog.LevelWarn, "an audit sink does not take records; they are kept for it", slog.String("sink", s.Name()), slog.Any("error", err))
			r.pause(ctx, pause)
			pause = min(2*pause, lastPause)
			continue
		}
		pause = firstPause
		if next != cursor {
			cursor = next
			if marks != nil {
				_ = marks.SetMark(ctx, s.Name(), cursor) // else it gets them again, after a restart
			}
			continue
		}
		r.mu.Lock()
		for r.written.Load() == seen && !r.closing {
			r.arrived.Wait()
		}
		r.mu.Unlock()
	}
}

// hand sends one batch, and gives the cursor behind it.
func (r *Recorder) hand(ctx context.Context, s Sink, cursor string) (string, error) {
	var batch []Entry
	next := cursor
	for found, err := range r.o.Log.Search(ctx, Query{Replica: r.Replica(), Oldest: true, After: cursor, Limit: feedBatch}) {
		if err != nil {
			return cursor, err
		}
		batch, next = append(batch, found.Entry), found.Cursor
	}
	if len(batch) == 0 {
		return cursor, nil
	}
	ctx, cancel := context.WithTimeout(ctx, feedTime)
	defer cancel()
	if err := s.Send(ctx, batch); err != nil {
		return cursor, err
	}
	return next, nil
}

// untilStopped is a context that ends with the recorder.
func (r *Recorder) untilStopped() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	r.done.Go(func() {
		select {
		case <-r.stop:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, cancel
}

func (r *Recorder) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// pruning deletes old records from time to time.
func (r *Recorder) pruning(p Pruner) {
	ctx, cancel := r.untilStopped()
	defer cancel()
	for ctx.Err() == nil {
		if err := r.prune(ctx, p); err != nil && ctx.Err() == nil {
			r.o.Logger.LogAttrs(ctx, slog.LevelError, "old audit records can't be deleted", slog.Any("error", err))
		}
		r.pause(ctx, pruneEvery)
	}
}

// prune says what it is about to delete, in the log itself, and deletes it.
func (r *Recorder) prune(ctx context.Context, p Pruner) error {
	before := r.now().Add(-r.o.Config.Retain)
	to, err := p.Old(ctx, r.Replica(), before)
	if err != nil {
		return err
	}
	states, err := r.o.Log.States(ctx)
	if err != nil {
		return err
	}
	for _, s := range states {
		if s.Replica != r.Replica() || s.First >= to {
			continue
		}
		err := r.Write(ctx, &Record{
			Kind: KindPrune, Time: r.now(), Verdict: Allowed, Object: strconv.FormatUint(to, 10), Count: to - s.First,
			Detail: "records that began before " + before.UTC().Format(time.RFC3339),
		}, nil)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, pruneTime)
		defer cancel()
		_, err = p.Prune(ctx, r.Replica(), to)
		return err
	}
	return nil
}
