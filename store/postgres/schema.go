package postgres

import (
	"context"
	"embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluice-gateway/sluice/store"
)

//go:embed migration/*.sql
var migrations embed.FS

const (
	// migrating is how long migrations may take, the wait for a replica that
	// migrates at the same time included.
	migrating = time.Minute
	// migrationLock is an advisory lock; the number is "sluice" and means nothing.
	migrationLock = 0x736c75696365
)

// Schema says which version the schema of a database has. It changes nothing.
func Schema(ctx context.Context, url string) (store.Schema, error) {
	steps, err := store.Migrations(migrations, "migration")
	if err != nil {
		return store.Schema{}, err
	}
	schema := store.Schema{Want: len(steps)}
	pool, err := connect(ctx, url)
	if err != nil {
		return schema, err
	}
	defer pool.Close()
	ctx, cancel := store.Bound(ctx)
	defer cancel()
	schema.Have, err = version(ctx, pool)
	return schema, store.Away(err)
}

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func version(ctx context.Context, db querier) (v int, err error) {
	var there bool
	if err := db.QueryRow(ctx, "SELECT to_regclass('sluice_schema') IS NOT NULL").Scan(&there); err != nil || !there {
		return 0, err
	}
	err = db.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM sluice_schema").Scan(&v)
	return v, err
}

// migrate takes all steps that are missing in one transaction; of replicas that
// start at once, one does and the others wait for it.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	steps, err := store.Migrations(migrations, "migration")
	if err != nil {
		return err
	}
	return migrateTo(ctx, pool, steps)
}

func migrateTo(ctx context.Context, pool *pgxpool.Pool, steps []store.Migration) error {
	ctx, cancel := context.WithTimeout(ctx, migrating)
	defer cancel()
	have, err := version(ctx, pool)
	if err != nil {
		return store.Away(err)
	}
	schema := store.Schema{Have: have, Want: len(steps)}
	if err := schema.Check(); err != nil || schema.Have == schema.Want {
		return err // the common case needs no lock, nor a right to make tables
	}
	return store.Away(pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS sluice_schema (version integer PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL DEFAULT now())"); err != nil {
			return err
		}
		// Another may have been faster. Not version: this connection remembers that
		// there was no such table.
		var have int
		if err := tx.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM sluice_schema").Scan(&have); err != nil {
			return err
		}
		for _, step := range steps[min(have, len(steps)):] {
			// Without arguments and prepared statements, several at once.
			if _, err := tx.Conn().PgConn().Exec(ctx, step.SQL).ReadAll(); err != nil {
				return fmt.Errorf("migration %d (%s): %w", step.Version, step.Name, err)
			}
			if _, err := tx.Exec(ctx, "INSERT INTO sluice_schema (version, name) VALUES ($1, $2)", step.Version, step.Name); err != nil {
				return err
			}
		}
		return nil
	}))
}
