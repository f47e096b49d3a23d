package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/pg"
)

const (
	// lockWait is how long dropping a day waits for who reads or writes it; it is tried
	// again with the next pruning.
	lockWait = "2s"
	// lag is how many days a replica's records wait for those of other replicas, to be
	// dropped together with them; then they are deleted one by one.
	lag = 2
)

// Old is [audit.Pruner]'s.
func (l *Log) Old(ctx context.Context, replica string, before time.Time) (to uint64, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	states, err := l.replicas(ctx, replica)
	if err != nil || replica == "" || len(states) == 0 {
		return 0, err
	}
	w := walk{Log: l, query: new(audit.Query), replica: states[0]}
	if w.spans, err = l.spans(ctx, w.id); err != nil {
		return 0, err
	}
	first, _, err := w.reach(ctx, before.UnixMicro())
	if err != nil || first < always {
		return uint64(max(first, 0)), err
	}
	rows, err := l.pool.Query(ctx, "SELECT first, n, leaves, body FROM sluice_audit_head WHERE replica = $1 ORDER BY first", w.id)
	if err != nil {
		return 0, err
	}
	entries, _, err := readHead(rows, replica)
	if err != nil {
		return 0, err
	}
	to = uint64(w.size)
	for i := range entries {
		if !entries[i].Record.Time.Before(before) {
			return entries[i].Place, nil
		}
		to = entries[i].Place + 1
	}
	return min(to, uint64(w.size)), nil
}

// Prune is [audit.Pruner]'s. Old records are not found any more from now on. They
// leave the disk with their day, as soon as all that is in its tables is old.
func (l *Log) Prune(ctx context.Context, replica string, to uint64) (pruned int, err error) {
	w := l.writer(replica)
	pruned, err = func() (int, error) {
		ctx, cancel := bound(ctx)
		defer cancel()
		w.mu.Lock()
		defer w.mu.Unlock()
		if err := w.ready(ctx, lockLast); err != nil {
			return 0, err
		}
		return w.pruneTo(ctx, to)
	}()
	if err != nil {
		return pruned, err
	}
	return pruned, l.sweep(ctx)
}

// goneTime bounds how long a log of a replica that is gone is held: should it come back
// just then, it waits for longer ([claimTime]).
const goneTime = 3 * time.Second

// PruneGone is [audit.Shared]'s. The log's lock is what its own writer holds: who gets
// it at the first try is alone, and finds out what others have pruned before.
func (l *Log) PruneGone(ctx context.Context, replica string, to uint64, say func(context.Context) error) (pruned int, err error) {
	l.mu.Lock()
	own := l.writers[replica] != nil
	l.mu.Unlock()
	if own {
		return 0, nil
	}
	w := &writer{Log: l, replica: replica}
	pruned, err = func() (int, error) {
		ctx, cancel := context.WithTimeout(ctx, goneTime)
		defer cancel()
		defer w.drop()
		if err := w.ready(ctx, 0); err != nil || to <= w.at.first {
			return 0, err
		}
		if err := say(ctx); err != nil {
			return 0, err
		}
		return w.pruneTo(ctx, to)
	}()
	if errors.Is(err, ErrTaken) {
		return 0, nil
	}
	if err != nil {
		return pruned, err
	}
	return pruned, l.sweep(ctx)
}

// pruneTo moves the first record that is kept. w.mu is held.
func (w *writer) pruneTo(ctx context.Context, to uint64) (pruned int, err error) {
	p := w.at
	if to = min(to, p.size); to <= p.first {
		return 0, nil
	}
	pruned, p.first = int(to-p.first), to
	err = pgx.BeginFunc(ctx, w.conn, func(tx pgx.Tx) error {
		var b pgx.Batch
		b.Queue("UPDATE sluice_audit_replica SET first = $3 WHERE id = $1 AND size = $2", p.id, p.size, p.first)
		// A batch of which some is old stays; its hashes are needed in any case.
		b.Queue("INSERT INTO sluice_audit_leaf (replica, first, n, leaves) SELECT replica, first, n, leaves FROM sluice_audit_head WHERE replica = $1 AND first + n <= $2", p.id, to)
		b.Queue("DELETE FROM sluice_audit_head WHERE replica = $1 AND first + n <= $2", p.id, to)
		b.Queue("UPDATE sluice_audit_replica SET sealed = coalesce((SELECT min(first) FROM sluice_audit_head WHERE replica = $1), size) WHERE id = $1", p.id)
		// The last one of those before says all that they do.
		b.Queue("DELETE FROM sluice_audit_checkpoint WHERE replica = $1 AND size < (SELECT max(size) FROM sluice_audit_checkpoint WHERE replica = $1 AND size <= $2)", p.id, to)
		results := tx.SendBatch(ctx, &b)
		tag, err := results.Exec()
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("%w: another process writes to the log of %s", audit.ErrOutOfOrder, w.replica)
		}
		return errors.Join(err, results.Close())
	})
	if err == nil {
		err = w.load(ctx) // of a batch of which some is old all stays
	}
	if err != nil {
		w.drop()
		return 0, err
	}
	return pruned, nil
}

// finished is a day of which a replica keeps nothing any more. late tells that it is
// days ahead with that.
type finished struct {
	replica int32
	day     time.Time
	late    bool
}

// sweep drops the days in which everything is old, whoever said so.
func (l *Log) sweep(ctx context.Context) error {
	reading, cancel := bound(ctx)
	defer cancel()
	rows, err := l.pool.Query(reading, `SELECT d.replica, d.day, d.later >= $1 FROM (
			SELECT replica, day, lead(first) OVER w AS next, count(*) OVER (w ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS later
			FROM sluice_audit_day WINDOW w AS (PARTITION BY replica ORDER BY day)) d
		JOIN sluice_audit_replica r ON r.id = d.replica WHERE coalesce(d.next, r.sealed) <= r.first ORDER BY d.day, d.replica`, lag)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f finished, err error) {
		err = row.Scan(&f.replica, &f.day, &f.late)
		return f, err
	})
	if err != nil {
		return err
	}
	dropped := time.Time{}
	for _, f := range all {
		if f.day.Equal(dropped) {
			continue
		}
		gone, err := l.dropDay(ctx, f)
		if err != nil {
			return err
		}
		if gone {
			dropped = f.day
		}
	}
	return ctx.Err()
}

// dropDay drops a day's tables if nothing in them is kept any more, or deletes what
// is a replica's if it is late.
func (l *Log) dropDay(ctx context.Context, f finished) (dropped bool, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	day := f.day
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true), pg_advisory_xact_lock($2)", lockWait, int64(tableLock)); err != nil {
			return err
		}
		// First without a lock that would hold up others, then with one.
		for _, locked := range []bool{false, true} {
			if locked {
				for _, table := range daily {
					if _, err := tx.Exec(ctx, "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE"); err != nil {
						return err
					}
				}
			}
			var needed bool
			err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM sluice_audit_segment s JOIN sluice_audit_replica r ON r.id = s.replica WHERE s.day = $1 AND s.first + s.n > r.first)
				OR EXISTS (SELECT 1 FROM sluice_audit_replica r WHERE r.day <= $1 AND r.size > greatest(r.sealed, r.first))`, day).Scan(&needed)
			if err != nil {
				return err
			}
			if needed {
				if !f.late || locked {
					return nil
				}
				return deleteOwn(ctx, tx, f.replica, day)
			}
		}
		for _, table := range daily {
			if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+partName(table, day)); err != nil {
				return err
			}
		}
		dropped = true
		_, err := tx.Exec(ctx, "DELETE FROM sluice_audit_day WHERE day = $1", day)
		return err
	})
	if pg.Refused(err, "55P03") { // somebody reads or writes for longer
		l.log.LogAttrs(ctx, slog.LevelInfo, "old audit records stay until the next time: their tables are in use", slog.String("day", day.Format(time.DateOnly)))
		return false, nil
	}
	if err == nil {
		l.days.Delete(day)
	}
	return dropped && err == nil, err
}

// deleteOwn deletes one replica's records of a day that others still need.
func deleteOwn(ctx context.Context, tx pgx.Tx, id int32, day time.Time) error {
	for _, table := range append([]string{"sluice_audit_day"}, daily...) {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE replica = $1 AND day = $2", id, day); err != nil {
			return err
		}
	}
	return nil
}
