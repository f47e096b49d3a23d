package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-gateway/sluice/store"
)

// Dump is [store.Keeper]'s. Writers go on meanwhile.
func (s *Store) Dump(ctx context.Context, yield func(store.Item) error) error {
	// One statement sees one moment.
	rows, err := s.pool.Query(ctx, "SELECT "+columns+" FROM sluice_item ORDER BY kind, id")
	if err != nil {
		return s.away(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return s.away(ctx, err)
		}
		if err := yield(item); err != nil {
			return err
		}
	}
	return s.away(ctx, rows.Err())
}

// Restore is [store.Keeper]'s.
func (s *Store) Restore(ctx context.Context, items iter.Seq2[store.Item, error]) error {
	var given error
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		given = restore(ctx, tx, items)
		return given
	})
	if given != nil {
		return given // of the items, or away already
	}
	return s.away(ctx, err)
}

func restore(ctx context.Context, tx pgx.Tx, items iter.Seq2[store.Item, error]) error {
	var taken bool
	if _, err := tx.Exec(ctx, "LOCK TABLE sluice_item IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		return store.Away(err)
	}
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM sluice_item)").Scan(&taken); err != nil {
		return store.Away(err)
	}
	if taken {
		return store.ErrNotEmpty
	}
	next, stop := iter.Pull2(items)
	defer stop()
	var given error
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"sluice_item"}, []string{"kind", "id", "revision", "owner", "state", "expires", "body"},
		pgx.CopyFromFunc(func() ([]any, error) {
			item, err, ok := next()
			if err != nil {
				given = err
			}
			if !ok || err != nil {
				return nil, err
			}
			return []any{item.Kind, item.ID, item.Revision, item.Owner, item.State, millis(item.Expires), body(item.Body)}, nil
		}))
	if given != nil {
		return given
	}
	return store.Away(err)
}

// checks are single values of the server, whether they are good, and what they
// mean to an operator.
var checks = []struct{ id, sql, detail string }{
	{"items", "SELECT count(*) FILTER (WHERE id = '' OR kind = '' OR octet_length(body) > 1048576) = 0, count(*)::text FROM sluice_item", "%s of them"},
	{"indexes", "SELECT coalesce(bool_and(indisvalid AND indisready), false), count(*)::text FROM pg_index WHERE indrelid = 'sluice_item'::regclass", "%s of them"},
	{"notices", "SELECT coalesce(bool_and(tgenabled IN ('O', 'A')), false), count(*)::text FROM pg_trigger WHERE tgrelid = 'sluice_item'::regclass AND NOT tgisinternal", "%s trigger tells replicas of changes"},
	{"writable", "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off', CASE WHEN pg_is_in_recovery() THEN 'a standby' ELSE 'the primary' END", "this is %s"},
	{"durable", "SELECT current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on', current_setting('fsync')", "fsync is %s"},
}

// Check is [store.Keeper]'s. Damage of pages is PostgreSQL's own to find: see
// pg_amcheck and data checksums.
func (s *Store) Check(ctx context.Context) ([]store.Finding, error) {
	var found []store.Finding
	for _, c := range checks {
		var ok bool
		var value string
		if err := s.pool.QueryRow(ctx, c.sql).Scan(&ok, &value); err != nil {
			return found, s.away(ctx, err)
		}
		found = append(found, store.Finding{ID: c.id, OK: ok, Detail: fmt.Sprintf(c.detail, value)})
	}
	err := s.Ping(ctx)
	if errors.Is(err, store.ErrAway) {
		return append(found, store.Finding{ID: "write", Detail: err.Error()}), nil
	}
	return append(found, store.Finding{ID: "write", OK: true, Detail: "a row was written"}), nil
}
