package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/sluice-gateway/sluice/store"
)

// Dump is [store.Keeper]'s. Writers go on meanwhile.
func (s *Store) Dump(ctx context.Context, yield func(store.Item) error) (err error) {
	// One statement sees one moment.
	rows, err := s.read.QueryContext(ctx, "SELECT "+columns+" FROM sluice_item ORDER BY kind, id")
	if err != nil {
		return s.away(ctx, err)
	}
	defer func() { err = errors.Join(err, s.away(ctx, rows.Close())) }()
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
	err := transact(ctx, s.write, func(tx *sql.Tx) error {
		given = restore(ctx, tx, items)
		return given
	})
	if err != nil && errors.Is(err, given) {
		return given // of the items, or away already
	}
	s.hub.TellAll()
	return s.away(ctx, err)
}

func restore(ctx context.Context, tx *sql.Tx, items iter.Seq2[store.Item, error]) error {
	var taken bool
	if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sluice_item)").Scan(&taken); err != nil {
		return store.Away(err)
	}
	if taken {
		return store.ErrNotEmpty
	}
	for item, err := range items {
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO sluice_item ("+columns+") VALUES (?, ?, ?, ?, ?, ?, ?)",
			item.Kind, item.ID, item.Revision, item.Owner, item.State, millis(item.Expires), body(item.Body)); err != nil {
			return store.Away(err)
		}
	}
	return nil
}

// Check is [store.Keeper]'s.
func (s *Store) Check(ctx context.Context) ([]store.Finding, error) {
	damage, err := s.damage(ctx)
	if err != nil {
		return nil, s.away(ctx, err)
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return nil, store.Away(err)
	}
	mode := info.Mode().Perm()
	items := store.Finding{ID: "items", OK: true}
	var count, odd int64
	if err := s.read.QueryRowContext(ctx, "SELECT count(*), count(*) FILTER (WHERE id = '' OR kind = '' OR length(body) > ?) FROM sluice_item", store.MaxBody).Scan(&count, &odd); err != nil {
		return nil, s.away(ctx, err)
	}
	items.OK, items.Detail = odd == 0, fmt.Sprintf("%d, of which %d can't be sluice's", count, odd)
	return []store.Finding{
		{ID: "integrity", OK: len(damage) == 0, Detail: strings.Join(append(damage, "")[:max(1, len(damage))], "; ")},
		{ID: "mode", OK: mode&0o077 == 0, Detail: fmt.Sprintf("%04o %s", mode, s.path)},
		items,
	}, nil
}

// damage is what SQLite says of a file that is not whole, at most 100 lines.
func (s *Store) damage(ctx context.Context) (found []string, err error) {
	rows, err := s.read.QueryContext(ctx, "PRAGMA integrity_check")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		if line != "ok" {
			found = append(found, line)
		}
	}
	return found, rows.Err()
}
