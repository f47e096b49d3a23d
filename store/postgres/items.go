package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sluice-gateway/sluice/pg"
	"github.com/sluice-gateway/sluice/store"
)

const columns = "kind, id, revision, owner, state, expires, body"

func scan(row pgx.CollectableRow) (item store.Item, err error) {
	var expires *int64
	err = row.Scan(&item.Kind, &item.ID, &item.Revision, &item.Owner, &item.State, &expires, &item.Body)
	if expires != nil {
		item.Expires = time.UnixMilli(*expires).UTC()
	}
	return item, err
}

func millis(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
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
	items, err := s.query(ctx, "SELECT "+columns+" FROM sluice_item WHERE kind = $1 AND id = $2", kind, id)
	if err == nil && len(items) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Item{}, err
	}
	return items[0], nil
}

// List is [store.Store]'s.
func (s *Store) List(ctx context.Context, q store.Query) ([]store.Item, error) {
	q, err := q.Checked()
	if err != nil {
		return nil, err
	}
	where, args := []string{"kind = $1", "id > $2"}, []any{q.Kind, q.After}
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	if q.Owner != "" {
		add("owner = $%d AND owner <> ''", q.Owner) // the second half, so that the index is used
	}
	if q.State != "" {
		add("state = $%d AND state <> ''", q.State)
	}
	if !q.ExpiresBefore.IsZero() {
		add("expires < $%d", q.ExpiresBefore.UnixMilli())
	}
	args = append(args, q.Limit)
	return s.query(ctx, fmt.Sprintf("SELECT %s FROM sluice_item WHERE %s ORDER BY id LIMIT $%d", columns, strings.Join(where, " AND "), len(args)), args...)
}

// query reads, once more if the connection was broken: that of a server that has
// restarted since.
func (s *Store) query(ctx context.Context, sql string, args ...any) ([]store.Item, error) {
	ctx, cancel := store.Bound(ctx)
	defer cancel()
	items, err := s.queryOnce(ctx, sql, args)
	if err != nil && ctx.Err() == nil && pg.Broken(err) {
		s.pool.Reset()
		items, err = s.queryOnce(ctx, sql, args)
	}
	return items, s.away(ctx, err)
}

func (s *Store) queryOnce(ctx context.Context, sql string, args []any) ([]store.Item, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// Apply is [store.Store]'s. It is never tried again here: one whose connection
// broke may have been committed.
func (s *Store) Apply(ctx context.Context, changes ...store.Change) error {
	if err := store.CheckChanges(changes); err != nil || len(changes) == 0 {
		return err
	}
	ctx, cancel := store.Bound(ctx)
	defer cancel()
	var err error
	if len(changes) == 1 {
		// One statement is a transaction of its own, in one round trip.
		sql, args := statement(changes[0])
		var done pgconn.CommandTag
		if done, err = s.pool.Exec(ctx, sql, args...); err == nil && done.RowsAffected() != 1 {
			err = store.ErrConflict
		}
	} else {
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return swap(ctx, tx, changes) })
	}
	switch {
	case errors.Is(err, store.ErrConflict):
		return store.ErrConflict
	case pg.Refused(err, "40001", "40P01"):
		return store.ErrConflict // the server rolled it back in another's favour
	}
	return s.away(ctx, err)
}

// swap makes all changes in one batch. They are sorted: two that lock the same
// items in the same order do not wait for each other in a circle.
func swap(ctx context.Context, tx pgx.Tx, changes []store.Change) (err error) {
	changes = slices.SortedFunc(slices.Values(changes), func(a, b store.Change) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	var batch pgx.Batch
	for _, c := range changes {
		sql, args := statement(c)
		batch.Queue(sql, args...)
	}
	results := tx.SendBatch(ctx, &batch)
	defer func() { err = errors.Join(err, results.Close()) }()
	for range changes {
		done, err := results.Exec()
		if err != nil {
			return err
		}
		if done.RowsAffected() != 1 {
			return store.ErrConflict
		}
	}
	return nil
}

// statement makes one change if the item is what it was made from; it affects no
// row otherwise.
func statement(c store.Change) (string, []any) {
	switch {
	case c.Delete:
		return "DELETE FROM sluice_item WHERE kind = $1 AND id = $2 AND revision = $3", []any{c.Kind, c.ID, c.Revision}
	case c.Revision == 0:
		return "INSERT INTO sluice_item (" + columns + ") VALUES ($1, $2, 1, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
			[]any{c.Kind, c.ID, c.Owner, c.State, millis(c.Expires), body(c.Body)}
	}
	return "UPDATE sluice_item SET revision = revision + 1, owner = $4, state = $5, expires = $6, body = $7 WHERE kind = $1 AND id = $2 AND revision = $3",
		[]any{c.Kind, c.ID, c.Revision, c.Owner, c.State, millis(c.Expires), body(c.Body)}
}
