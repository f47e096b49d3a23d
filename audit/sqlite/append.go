package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
)

// errMoved is the answer when the file is not where it was: what is written to it
// would be gone with the process.
var errMoved = errors.New("the file was deleted or replaced while it was open")

// Append is [audit.Log]'s.
func (l *Log) Append(ctx context.Context, b audit.Batch) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh, err := l.fresh(ctx, b)
	if err != nil || len(fresh) == 0 && b.Checkpoint == nil {
		return err
	}
	now, err := os.Stat(l.path)
	if err != nil || !os.SameFile(now, l.file) {
		return fmt.Errorf("audit log %s: %w", l.path, errMoved)
	}
	if err := l.setSync(ctx, b.Sync); err != nil {
		return err
	}
	w := writing{Log: l, ctx: ctx, head: slices.Concat(l.head, light(fresh)), high: l.high, back: l.back}
	err = l.within(ctx, func(tx *sql.Conn) error {
		w.tx = tx
		return w.append(b, fresh)
	})
	if err != nil {
		return err
	}
	l.replica, l.size, l.head, l.high, l.back = b.Replica, l.size+uint64(len(fresh)), w.head, w.high, w.back
	return nil
}

// light leaves out the payloads' bodies: the head keeps only what indexes need.
func light(entries []audit.Entry) []audit.Entry {
	out := slices.Clone(entries)
	for i := range out {
		if p := out[i].Payload; p != nil {
			out[i].Payload = &audit.Payload{Words: p.Words}
		}
	}
	return out
}

// fresh is what of a batch is not there yet. What is there has to be the same.
func (l *Log) fresh(ctx context.Context, b audit.Batch) ([]audit.Entry, error) {
	if l.replica != "" && b.Replica != l.replica {
		return nil, fmt.Errorf("%w: the log is %s's, and the batch %s's", audit.ErrOutOfOrder, l.replica, b.Replica)
	}
	for i, e := range b.Entries {
		if seq := e.Record.Seq; seq != b.Entries[0].Record.Seq+uint64(i) || seq > l.size+uint64(i) {
			return nil, fmt.Errorf("%w: record %d, the log has %d", audit.ErrOutOfOrder, seq, l.size)
		}
	}
	for i, e := range b.Entries {
		seq := e.Record.Seq
		if seq == l.size {
			return b.Entries[i:], nil
		}
		have, err := l.leafAt(ctx, seq)
		if err != nil {
			return nil, err
		}
		if have != e.Leaf {
			return nil, fmt.Errorf("%w: record %d is there and is another", audit.ErrOutOfOrder, seq)
		}
	}
	return nil, nil
}

func (l *Log) setSync(ctx context.Context, sync bool) error {
	if sync == l.sync {
		return nil
	}
	level := "NORMAL"
	if sync {
		level = "FULL"
	}
	_, err := l.conn.ExecContext(ctx, "PRAGMA synchronous = "+level)
	if err == nil {
		l.sync = sync
	}
	return err
}

// writing is one transaction, and what the log will be after it.
type writing struct {
	*Log
	ctx        context.Context //nolint:containedctx // the transaction's own
	tx         *sql.Conn
	head       []audit.Entry
	high, back int64
}

func (w *writing) exec(query string, args ...any) error {
	_, err := w.tx.ExecContext(w.ctx, query, args...)
	return err
}

func (w *writing) append(b audit.Batch, fresh []audit.Entry) error {
	if err := w.state(b, fresh); err != nil {
		return err
	}
	for _, e := range fresh {
		if p := e.Payload; p != nil {
			err := w.exec("INSERT INTO payload (id, seq, key, words, body) VALUES (?, ?, ?, ?, ?)", p.ID, e.Record.Seq, p.Key, segment.PackWords(p.Words), p.Body)
			if err != nil {
				return err
			}
		}
	}
	if c := b.Checkpoint; c != nil {
		err := w.exec("INSERT OR REPLACE INTO checkpoint (size, root, time, note) VALUES (?, ?, ?, ?)", c.Size, c.Root[:], c.Time.UnixMicro(), c.Note)
		if err != nil {
			return err
		}
	}
	if len(w.head) < SegmentSize {
		return w.addHead(fresh)
	}
	if err := w.exec("DELETE FROM head"); err != nil {
		return err
	}
	for len(w.head) >= SegmentSize {
		if err := w.seal(w.head[:SegmentSize]); err != nil {
			return err
		}
		w.head = w.head[SegmentSize:]
	}
	w.head = slices.Clone(w.head)
	return w.addHead(w.head)
}

// state counts the records; another process that writes to the same log is found
// out here.
func (w *writing) state(b audit.Batch, fresh []audit.Entry) error {
	if w.replica == "" {
		return w.exec("INSERT INTO state (id, replica, size, first, back) VALUES (1, ?, ?, 0, 0)", b.Replica, len(fresh))
	}
	res, err := w.tx.ExecContext(w.ctx, "UPDATE state SET size = size + ? WHERE size = ? AND replica = ?", len(fresh), w.size, b.Replica)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("%w: another process writes to the log", audit.ErrOutOfOrder))
	}
	return nil
}

func (w *writing) addHead(entries []audit.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	leaves, body := segment.Pack(entries)
	return w.exec("INSERT INTO head (first, n, leaves, body) VALUES (?, ?, ?, ?)", entries[0].Record.Seq, len(entries), leaves, body)
}

const hashSize = 32
