package audit

import (
	"context"
	"log/slog"
	"strconv"
	"time"
)

const (
	// pruneEvery is how often old records are looked for, pruneTime how long deleting
	// them may go on at once.
	pruneEvery = 10 * time.Minute
	pruneTime  = time.Minute
)

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
