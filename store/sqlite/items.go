package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/store"
)

const columns = "kind, id, revision, owner, state, expires, body"

// scanned is a row or one of several.
type scanned interface{ Scan(into ...any) error }

func scan(row scanned) (item store.Item, err error) {
	var expires sql.NullInt64
	err = row.Scan(&item.Kind, &item.ID, &item.Revision, &item.Owner, &item.State, &expires, &item.Body)
	if expires.Valid {
		item.Expires = time.UnixMilli(expires.Int64).UTC()
	}
	return item, err
}

func millis(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

// body is never NULL.
func body(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Get is [store.Store]'s.
func (s *Store) Get(ctx context.Context, kind store.Kind, id string) (store.Item, error) {
	if err := store.CheckKey(kind, id); err != nil {
		return store.Item{}, err
	}
	ctx, cancel := store.Bound(ctx)
	defer cancel()
	item, err := scan(s.read.QueryRowContext(ctx, "SELECT "+columns+" FROM sluice_item WHERE kind = ? AND id = ?", kind, id))
	if errors.Is(err, sql.ErrNoRows) {
		return store.Item{}, store.ErrNotFound
	}
	if err != nil {
		return store.Item{}, s.away(ctx, err)
	}
	return item, nil
}

// List is [store.Store]'s.
func (s *Store) List(ctx context.Context, q store.Query) ([]store.Item, error) {
	q, err := q.Checked()
	if err != nil {
		return nil, err
	}
	ctx, cancel := store.Bound(ctx)
	defer cancel()
	where, args := []string{"kind = ?", "id > ?"}, []any{q.Kind, q.After}
	if q.Owner != "" {
		// Said twice so that the index of items with an owner is used.
		where, args = append(where, "owner = ?", "owner <> ''"), append(args, q.Owner)
	}
	if q.State != "" {
		where, args = append(where, "state = ?", "state <> ''"), append(args, q.State)
	}
	if !q.ExpiresBefore.IsZero() {
		where, args = append(where, "expires < ?"), append(args, q.ExpiresBefore.UnixMilli())
	}
	rows, err := s.read.QueryContext(ctx, "SELECT "+columns+" FROM sluice_item WHERE "+strings.Join(where, " AND ")+" ORDER BY id LIMIT ?", append(args, q.Limit)...)
	if err != nil {
		return nil, s.away(ctx, err)
	}
	items, err := all(rows)
	return items, s.away(ctx, err)
}

func all(rows *sql.Rows) (items []store.Item, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, rows.Err()
}

// Apply is [store.Store]'s.
func (s *Store) Apply(ctx context.Context, changes ...store.Change) error {
	if err := store.CheckChanges(changes); err != nil || len(changes) == 0 {
		return err
	}
	ctx, cancel := store.Bound(ctx)
	defer cancel()
	err := transact(ctx, s.write, func(tx *sql.Tx) error {
		for _, c := range changes {
			if err := swap(ctx, tx, c); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrConflict) {
		return store.ErrConflict
	}
	if err != nil {
		return s.away(ctx, err)
	}
	hints := make([]store.Hint, len(changes))
	for i, c := range changes {
		hints[i] = store.Hint{Kind: c.Kind, ID: c.ID}
	}
	s.hub.Tell(hints...)
	return nil
}

// transact runs f in a transaction that holds SQLite's write lock from its
// beginning, so that nothing it has read can change under it.
func transact(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // what was wrong is err; what can't be rolled back is when the connection closes
		return err
	}
	return tx.Commit()
}

// swap makes one change if the item is what it was made from.
func swap(ctx context.Context, tx *sql.Tx, c store.Change) error {
	var done sql.Result
	var err error
	switch {
	case c.Delete:
		done, err = tx.ExecContext(ctx, "DELETE FROM sluice_item WHERE kind = ? AND id = ? AND revision = ?", c.Kind, c.ID, c.Revision)
	case c.Revision == 0:
		done, err = tx.ExecContext(ctx, "INSERT INTO sluice_item ("+columns+") VALUES (?, ?, 1, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			c.Kind, c.ID, c.Owner, c.State, millis(c.Expires), body(c.Body))
	default:
		done, err = tx.ExecContext(ctx, "UPDATE sluice_item SET revision = revision + 1, owner = ?, state = ?, expires = ?, body = ? WHERE kind = ? AND id = ? AND revision = ?",
			c.Owner, c.State, millis(c.Expires), body(c.Body), c.Kind, c.ID, c.Revision)
	}
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return store.ErrConflict
}
