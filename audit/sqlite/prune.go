package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
)

// Old is [audit.Pruner]'s.
func (l *Log) Old(ctx context.Context, replica string, before time.Time) (to uint64, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if replica != l.replica || l.replica == "" {
		return 0, nil
	}
	var first sql.NullInt64
	err = l.conn.QueryRowContext(ctx, "SELECT min(first) FROM segment WHERE top >= ?", before.UnixMicro()).Scan(&first)
	if err != nil || first.Valid {
		return uint64(first.Int64), err
	}
	to = l.size
	for i := range l.head {
		if !l.head[i].Record.Time.Before(before) {
			return l.head[i].Record.Seq, nil
		}
	}
	return to, nil
}

// Prune is [audit.Pruner]'s. Each step is one segment: writing waits for a few
// milliseconds at most. What of the head is old becomes a segment first.
func (l *Log) Prune(ctx context.Context, replica string, to uint64) (pruned int, err error) {
	for ctx.Err() == nil {
		n, err := l.pruneOne(ctx, replica, to)
		if pruned += n; err != nil || n == 0 {
			return pruned, err
		}
	}
	return pruned, ctx.Err()
}

func (l *Log) pruneOne(ctx context.Context, replica string, to uint64) (n int, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.replica == "" || replica != l.replica {
		return 0, nil
	}
	if err := l.setSync(ctx, false); err != nil {
		return 0, err
	}
	w := writing{Log: l, ctx: ctx, head: l.head, high: l.high, back: l.back}
	err = l.within(ctx, func(tx *sql.Conn) (err error) {
		w.tx = tx
		n, err = w.prune(to)
		return err
	})
	if err == nil {
		l.head, l.high, l.back = w.head, w.high, w.back
	}
	return n, err
}

func (w *writing) prune(to uint64) (int, error) {
	var c candidate
	err := w.tx.QueryRowContext(w.ctx, "SELECT first, n FROM segment ORDER BY first LIMIT 1").Scan(&c.first, &c.n)
	if errors.Is(err, sql.ErrNoRows) {
		if len(w.head) == 0 || w.head[0].Record.Seq >= to {
			return 0, nil
		}
		c.first = int64(w.head[0].Record.Seq)
		c.n = min(int64(to)-c.first, int64(len(w.head)))
		err = w.split(int(c.n))
	}
	first := uint64(c.first + c.n)
	if err != nil || first > to {
		return 0, err
	}
	return int(c.n), w.drop(c, first)
}

// split makes the first n records of the head a segment.
func (w *writing) split(n int) error {
	old := w.head[:n]
	w.head = slices.Clone(w.head[n:])
	return errors.Join(w.exec("DELETE FROM head"), w.seal(old), w.addHead(w.head))
}

// drop deletes a segment, all but its hashes. The index rows of one that can't be
// read any more, and what is kept of call ids, go with the last of the span: until
// then they lead nowhere.
func (w *writing) drop(c candidate, first uint64) error {
	entries, err := w.readSegment(w.ctx, w.tx, c)
	if damaged := (*audit.DamagedError)(nil); err != nil && !errors.As(err, &damaged) {
		return err
	}
	for i := range entries {
		if err := w.addWords(&entries[i]); err != nil {
			return err
		}
	}
	for _, t := range segment.Of(entries) {
		if err := w.exec("DELETE FROM term WHERE span = ? AND key = ? AND first = ?", spanOf(c.first), t.Key, c.first); err != nil {
			return err
		}
	}
	for _, query := range []string{"DELETE FROM segment WHERE first = ?", "DELETE FROM block WHERE first = ?"} {
		if err := w.exec(query, c.first); err != nil {
			return err
		}
	}
	span := spanOf(int64(first)) // of which there may be more
	return errors.Join(
		w.exec("DELETE FROM calls WHERE id < ?", span*callParts),
		w.exec("DELETE FROM term WHERE span < ?", span), // of what could not be read
		w.exec("DELETE FROM payload WHERE seq >= ? AND seq < ?", c.first, first),
		// The last one of those before says all that they do.
		w.exec("DELETE FROM checkpoint WHERE size < (SELECT max(size) FROM checkpoint WHERE size <= ?)", first),
		w.exec("UPDATE state SET first = ?", first),
	)
}

// addWords puts a payload's words back, where the entry was read
// from the file.
func (w *writing) addWords(e *audit.Entry) error {
	if e.Record.Payload == nil || e.Payload != nil {
		return nil
	}
	var packed []byte
	err := w.tx.QueryRowContext(w.ctx, "SELECT words FROM payload WHERE id = ?", e.Record.Payload.ID).Scan(&packed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // its key has ended before: the words are hashes that nobody can make again
	}
	e.Payload = &audit.Payload{Words: segment.UnpackWords(packed)}
	return err
}
