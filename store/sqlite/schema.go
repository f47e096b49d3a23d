package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sluice-gateway/sluice/store"
)

//go:embed migration/*.sql
var migrations embed.FS

// Schema says which version the schema of a file has; 0 where there is no file.
// It changes nothing.
func Schema(ctx context.Context, path string) (store.Schema, error) {
	steps, err := store.Migrations(migrations, "migration")
	if err != nil {
		return store.Schema{}, err
	}
	schema := store.Schema{Want: len(steps)}
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return schema, nil
	}
	s, err := connect(ctx, path)
	if err != nil {
		return schema, err
	}
	defer func() { _ = s.shut() }()
	ctx, cancel := store.Bound(ctx)
	defer cancel()
	schema.Have, err = version(ctx, s.read)
	return schema, store.Away(err)
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func version(ctx context.Context, db querier) (v int, err error) {
	var there bool
	if err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sluice_schema')").Scan(&there); err != nil || !there {
		return 0, err
	}
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM sluice_schema").Scan(&v)
	return v, err
}

// migrate takes all steps that are missing in one transaction; of two processes
// that start at once, one finds nothing left to do.
func migrate(ctx context.Context, db *sql.DB) error {
	steps, err := store.Migrations(migrations, "migration")
	if err != nil {
		return err
	}
	return migrateTo(ctx, db, steps)
}

func migrateTo(ctx context.Context, db *sql.DB, steps []store.Migration) error {
	have, err := version(ctx, db)
	if err != nil {
		return store.Away(err)
	}
	schema := store.Schema{Have: have, Want: len(steps)}
	if err := schema.Check(); err != nil || schema.Have == schema.Want {
		return err // the common case needs no write lock
	}
	return store.Away(transact(ctx, db, func(tx *sql.Tx) error {
		have, err := version(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS sluice_schema (version INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT"); err != nil {
			return err
		}
		for _, step := range steps[min(have, len(steps)):] {
			if _, err := tx.ExecContext(ctx, step.SQL); err != nil {
				return fmt.Errorf("migration %d (%s): %w", step.Version, step.Name, err)
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO sluice_schema VALUES (?, ?)", step.Version, step.Name); err != nil {
				return err
			}
		}
		return nil
	}))
}
