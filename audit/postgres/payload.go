package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
)

// Payload is [audit.Payloads]'.
func (l *Log) Payload(ctx context.Context, id string) (audit.Payload, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	p := audit.Payload{ID: id}
	var words []byte
	err := l.pool.QueryRow(ctx, "SELECT key, words, body FROM sluice_audit_payload WHERE id = $1", id).Scan(&p.Key, &words, &p.Body)
	if errors.Is(err, pgx.ErrNoRows) {
		err = audit.ErrNotFound
	}
	p.Words = segment.UnpackWords(words)
	return p, err
}

// dropAtOnce is how many payloads one transaction deletes.
const dropAtOnce = 1000

// DropPayloads is [audit.Payloads]'.
func (l *Log) DropPayloads(ctx context.Context, key string) (dropped int, err error) {
	for {
		n, err := l.change(ctx, "DELETE FROM sluice_audit_payload p USING (SELECT day, id FROM sluice_audit_payload WHERE key = $1 LIMIT $2) o WHERE p.day = o.day AND p.id = o.id AND p.key = $1", key, dropAtOnce)
		dropped += n
		if err != nil || n < dropAtOnce {
			return dropped, err
		}
	}
}

func (l *Log) change(ctx context.Context, query string, args ...any) (int, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	tag, err := l.pool.Exec(ctx, query, args...)
	return int(tag.RowsAffected()), err
}

// PutKey is [audit.Payloads]'.
func (l *Log) PutKey(ctx context.Context, k audit.Key) error {
	n, err := l.change(ctx, "INSERT INTO sluice_audit_datakey AS k (id, sealed) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET sealed = $2 WHERE k.sealed = $2", k.ID, k.Sealed)
	if err == nil && n == 0 {
		err = fmt.Errorf("audit: another key has the id %q", k.ID)
	}
	return err
}

// Keys is [audit.Payloads]'.
func (l *Log) Keys(ctx context.Context) ([]audit.Key, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	rows, err := l.pool.Query(ctx, "SELECT id, sealed FROM sluice_audit_datakey ORDER BY id")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (k audit.Key, err error) {
		err = row.Scan(&k.ID, &k.Sealed)
		return k, err
	})
}

// DeleteKey is [audit.Payloads]'. PostgreSQL leaves what is deleted in its files, so
// that the table, which is small, is written anew; what the write-ahead log and
// backups have of it is its operator's, and sealed.
func (l *Log) DeleteKey(ctx context.Context, id string) error {
	n, err := l.change(ctx, "DELETE FROM sluice_audit_datakey WHERE id = $1", id)
	if err != nil || n == 0 {
		return err
	}
	_, err = l.change(ctx, "VACUUM FULL sluice_audit_datakey")
	return err
}

// Mark is [audit.Marks]'.
func (l *Log) Mark(ctx context.Context, name string) (cursor string, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	err = l.pool.QueryRow(ctx, "SELECT cursor FROM sluice_audit_mark WHERE name = $1", name).Scan(&cursor)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return cursor, err
}

// SetMark is [audit.Marks]'.
func (l *Log) SetMark(ctx context.Context, name, cursor string) error {
	_, err := l.change(ctx, "INSERT INTO sluice_audit_mark (name, cursor) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET cursor = $2", name, cursor)
	return err
}
