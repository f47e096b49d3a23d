package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
)

// hasWords tells whether a record's payload has one hash of each of the query's
// words.
func (s *search) hasWords(ctx context.Context, tx *sql.Tx, r *audit.Record) bool {
	if r.Payload == nil {
		return false
	}
	var packed []byte
	if err := tx.QueryRowContext(ctx, "SELECT words FROM payload WHERE id = ?", r.Payload.ID).Scan(&packed); err != nil {
		return false
	}
	have := segment.UnpackWords(packed)
	for _, word := range s.query.Words {
		if !slices.ContainsFunc(word, func(hash uint64) bool { return slices.Contains(have, hash) }) {
			return false
		}
	}
	return true
}

// Payload is [audit.Payloads]'.
func (l *Log) Payload(ctx context.Context, id string) (audit.Payload, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	p := audit.Payload{ID: id}
	var words []byte
	err := l.read.QueryRowContext(ctx, "SELECT key, words, body FROM payload WHERE id = ?", id).Scan(&p.Key, &words, &p.Body)
	if errors.Is(err, sql.ErrNoRows) {
		err = audit.ErrNotFound
	}
	if len(words) > 0 {
		p.Words = segment.UnpackWords(words)
	}
	return p, err
}

// dropAtOnce is how many payloads one transaction deletes.
const dropAtOnce = 200

// DropPayloads is [audit.Payloads]'.
func (l *Log) DropPayloads(ctx context.Context, key string) (dropped int, err error) {
	for {
		n, err := l.change(ctx, "DELETE FROM payload WHERE id IN (SELECT id FROM payload WHERE key = ? LIMIT ?)", key, dropAtOnce)
		dropped += n
		if err != nil || n < dropAtOnce {
			return dropped, err
		}
	}
}

// change runs one statement, durably, and gives how many rows it was about.
func (l *Log) change(ctx context.Context, query string, args ...any) (n int, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.setSync(ctx, true); err != nil {
		return 0, err
	}
	err = l.within(ctx, func(tx *sql.Conn) error {
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		rows, err := res.RowsAffected()
		n = int(rows)
		return err
	})
	return n, err
}

// PutKey is [audit.Payloads]'.
func (l *Log) PutKey(ctx context.Context, k audit.Key) error {
	n, err := l.change(ctx, "INSERT INTO datakey (id, sealed) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET sealed = ?2 WHERE sealed = ?2", k.ID, k.Sealed)
	if err == nil && n == 0 {
		err = fmt.Errorf("audit: another key has the id %q", k.ID)
	}
	return err
}

// Keys is [audit.Payloads]'.
func (l *Log) Keys(ctx context.Context) (keys []audit.Key, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	rows, err := l.read.QueryContext(ctx, "SELECT id, sealed FROM datakey ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var k audit.Key
		if err := rows.Scan(&k.ID, &k.Sealed); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// DeleteKey is [audit.Payloads]'. SQLite overwrites what is deleted
// (secure_delete); the write-ahead log, which may have it still, is emptied.
func (l *Log) DeleteKey(ctx context.Context, id string) error {
	if _, err := l.change(ctx, "DELETE FROM datakey WHERE id = ?", id); err != nil {
		return err
	}
	ctx, cancel := bound(ctx)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// Mark is [audit.Marks]'.
func (l *Log) Mark(ctx context.Context, name string) (cursor string, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	err = l.read.QueryRowContext(ctx, "SELECT cursor FROM mark WHERE name = ?", name).Scan(&cursor)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return cursor, err
}

// SetMark is [audit.Marks]'. It is not synced: a sink hears of a record again then.
func (l *Log) SetMark(ctx context.Context, name, cursor string) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.setSync(ctx, false); err != nil {
		return err
	}
	return l.within(ctx, func(tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO mark (name, cursor) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET cursor = ?2", name, cursor)
		return err
	})
}
