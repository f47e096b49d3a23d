package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
	"github.com/sluice-gateway/sluice/pg"
)

const (
	// minSegment is how many records make a segment, and maxSegment how many one has
	// at most: a filter of their calls fits into a page.
	minSegment = 512
	maxSegment = 1024
)

// missingPart is the code of a row for which there is no part of its table.
const missingPart = "23514"

// write writes entries that continue the log. The tables of a day that somebody has
// dropped are made anew.
func (w *writer) write(ctx context.Context, b audit.Batch, fresh []audit.Entry) error {
	b.Sync = b.Sync || w.recentBytes+weight(fresh) > maxRecent
	p, err := w.place(ctx, fresh)
	if err != nil {
		return err
	}
	for again := false; ; again = true {
		if err := w.ensure(ctx, p.day); err != nil {
			return err
		}
		t := transaction{w: w, before: w.at, position: p, batch: b, fresh: fresh}
		if err = t.run(ctx); err == nil {
			w.at = t.position
			w.keep(fresh, b.Sync)
			return nil
		}
		if again || !pg.Refused(err, missingPart) {
			return err
		}
		w.days.Clear()
	}
}

// place says which day the entries belong to: that of the latest time so far. It
// only goes up, and not beyond tomorrow by the database's clock, so that no clock
// that was wrong once has all that follows kept for ever.
func (w *writer) place(ctx context.Context, fresh []audit.Entry) (position, error) {
	p := w.at
	if len(fresh) == 0 {
		return p, nil
	}
	top := fresh[0].Record.Time.UnixMicro()
	for _, e := range fresh {
		top = max(top, e.Record.Time.UnixMicro())
	}
	day := dayOf(top)
	if !day.After(p.day) {
		return p, nil
	}
	var tomorrow time.Time
	if err := w.conn.QueryRow(ctx, "SELECT current_date + 1").Scan(&tomorrow); err != nil {
		return p, err
	}
	if day.After(tomorrow) {
		day = tomorrow
	}
	if day.After(p.day) {
		p.day = day
	}
	return p, nil
}

// transaction is one batch that is written, and what the log will be after it.
type transaction struct {
	w      *writer
	tx     pgx.Tx
	before position
	position
	batch audit.Batch
	fresh []audit.Entry
	seals []sealing
}

func (t *transaction) run(ctx context.Context) (err error) {
	t.tx, err = t.w.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && !t.w.conn.IsClosed() {
			_ = t.tx.Rollback(ctx)
		}
	}()
	t.divide()
	if err := t.rows(ctx); err != nil {
		return err
	}
	if err := t.copies(ctx); err != nil {
		return err
	}
	return t.tx.Commit(ctx)
}

// divide makes segments of the head and the new records, where there are enough of
// them. A day's head is not mixed with the next one's.
func (t *transaction) divide() {
	t.size += uint64(len(t.fresh))
	fresh := light(t.fresh)
	if t.day.After(t.before.day) && len(t.before.head) > 0 {
		t.seal(t.before.day, t.before.head)
		t.head = nil
	}
	all := append(t.head[:len(t.head):len(t.head)], fresh...)
	if t.head = all; len(all) < minSegment {
		return
	}
	for parts := (len(all) + maxSegment - 1) / maxSegment; parts > 0; parts-- {
		n := len(all) / parts
		t.seal(t.day, all[:n])
		all = all[n:]
	}
	t.head = nil
}

// rows writes what is not copied: few rows, in one go.
func (t *transaction) rows(ctx context.Context) error {
	level := "off"
	if t.batch.Sync {
		level = "on"
	}
	var b pgx.Batch
	b.Queue("SELECT set_config('synchronous_commit', CASE WHEN $1 = 'on' AND current_setting('synchronous_commit') <> 'off' THEN current_setting('synchronous_commit') ELSE $1 END, true)", level)
	b.Queue("UPDATE sluice_audit_replica SET size = $3, sealed = $4, high = $5, back = $6, day = $7 WHERE id = $1 AND size = $2",
		t.id, t.before.size, t.size, t.sealed, t.high, t.back, t.day)
	if len(t.seals) > 0 {
		b.Queue("DELETE FROM sluice_audit_head WHERE replica = $1", t.id)
		for _, s := range t.seals {
			b.Queue("INSERT INTO sluice_audit_day (replica, day, first, high) VALUES ($1, $2, $3, $4) ON CONFLICT (replica, day) DO UPDATE SET high = excluded.high", t.id, s.day, s.first, s.high)
		}
	}
	if len(t.head) > 0 && len(t.fresh) > 0 {
		rest := t.fresh[len(t.fresh)-min(len(t.fresh), len(t.head)):]
		leaves, body := segment.Pack(rest)
		b.Queue("INSERT INTO sluice_audit_head (replica, first, n, leaves, body) VALUES ($1, $2, $3, $4, $5)", t.id, rest[0].Record.Seq, len(rest), leaves, body)
	}
	if c := t.batch.Checkpoint; c != nil {
		b.Queue(`INSERT INTO sluice_audit_checkpoint (replica, size, root, time, note) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (replica, size) DO UPDATE SET root = excluded.root, time = excluded.time, note = excluded.note`, t.id, c.Size, c.Root[:], c.Time.UnixMicro(), c.Note)
	}
	results := t.tx.SendBatch(ctx, &b)
	_, err := results.Exec()
	if err == nil {
		tag, e := results.Exec()
		if err = e; e == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("%w: another process writes to the log of %s", audit.ErrOutOfOrder, t.w.replica)
		}
	}
	return errors.Join(err, results.Close())
}
