package audit

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/audit/merkle"
)

const (
	// pruneEvery is how often old records are looked for, pruneTime how long deleting
	// them may go on at once.
	pruneEvery = 10 * time.Minute
	pruneTime  = time.Minute
	// goneAfter is how long a replica's old records wait for itself to delete them, and
	// for how long it has signed nothing by then: one that starts again is not gone.
	goneAfter = time.Hour
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

// prune deletes the old records of the recorder's own log, and of those whose replica
// is gone.
func (r *Recorder) prune(ctx context.Context, p Pruner) error {
	before, ok := r.Horizon()
	if !ok {
		return nil
	}
	states, err := r.o.Log.States(ctx)
	if err != nil {
		return err
	}
	now := before.Add(r.o.Config.Retain)
	shared, _ := r.o.Log.(Shared)
	for _, s := range states {
		switch {
		case s.Replica == r.Replica():
			err = errors.Join(err, r.pruneOwn(ctx, p, s, before))
		case shared != nil && s.First < s.Size && now.Sub(s.Last.Time) > goneAfter:
			err = errors.Join(err, r.pruneGone(ctx, p, shared, s, before.Add(-goneAfter)))
		}
	}
	return err
}

// pruneOwn says what it is about to delete, in the log itself, and deletes it.
func (r *Recorder) pruneOwn(ctx context.Context, p Pruner, s State, before time.Time) error {
	to, err := r.old(ctx, p, s, before)
	if err != nil || to <= s.First {
		return err
	}
	if err := r.Write(ctx, pruneRecord(r.now(), before, strconv.FormatUint(to, 10), to-s.First), nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pruneTime)
	defer cancel()
	_, err = p.Prune(ctx, r.Replica(), to)
	return err
}

// pruneGone deletes what a replica has left that should have done so itself. Its log
// can't say so any more: from now on each checkpoint of this one does, and a record.
func (r *Recorder) pruneGone(ctx context.Context, p Pruner, shared Shared, s State, before time.Time) error {
	to, err := r.old(ctx, p, s, before)
	if err != nil || to <= s.First {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pruneTime)
	defer cancel()
	n, err := shared.PruneGone(ctx, s.Replica, to, func(ctx context.Context) error {
		r.mu.Lock()
		r.gone[s.Replica] = max(r.gone[s.Replica], to)
		r.mu.Unlock()
		return r.Write(ctx, pruneRecord(r.now(), before, s.Replica+"/"+strconv.FormatUint(to, 10), to-s.First), nil)
	})
	if n > 0 {
		r.o.Logger.LogAttrs(ctx, slog.LevelInfo, "old audit records of a replica that is gone were deleted", slog.String("replica", s.Replica), slog.Int("records", n))
	}
	return err
}

func pruneRecord(now, before time.Time, object string, count uint64) *Record {
	return &Record{Kind: KindPrune, Time: now, Verdict: Allowed, Object: object, Count: count, Detail: "records that began before " + before.UTC().Format(time.RFC3339)}
}

// old is up to which record all are old, as the records themselves say that are what
// was hashed: who can write to the log's indexes must not have younger ones deleted.
// One that can't be read, or was changed, is as old as the next that is not.
func (r *Recorder) old(ctx context.Context, p Pruner, s State, before time.Time) (to uint64, err error) {
	most, err := p.Old(ctx, s.Replica, before)
	if err != nil || most <= s.First {
		return 0, err
	}
	reading, cancel := context.WithTimeout(ctx, pruneTime)
	defer cancel()
	for found, err := range r.o.Log.Search(reading, Query{Replica: s.Replica, Oldest: true}) {
		if damaged := (*DamagedError)(nil); errors.As(err, &damaged) {
			continue
		}
		if err != nil && (to == 0 || ctx.Err() != nil) {
			return 0, err
		}
		if err != nil || found.Place >= most || !found.Record.Time.Before(before) {
			break // of more than is read in time the rest is for the next time
		}
		if merkle.Leaf(found.Bytes) == found.Leaf {
			to = found.Place + 1
		}
	}
	return to, nil
}
