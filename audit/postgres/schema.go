package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed migration/*.sql
var migrations embed.FS

const (
	// migrating is how long migrations may take, the wait for a replica that
	// migrates at the same time included.
	migrating = time.Minute
	// tableLock is the advisory lock of who makes or drops tables, and lockClass the
	// first half of those of replicas' writers. The numbers mean nothing.
	tableLock = 0x736c75696361
	lockClass = 0x736c7561
)

// ErrSchema is the answer to a database that a newer program has used.
var ErrSchema = errors.New("the audit log was used by a newer sluice; start that one")

// migrate takes the steps that are missing in one transaction; of replicas that
// start at once, one does and the others wait for it.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	ctx, cancel := context.WithTimeout(ctx, migrating)
	defer cancel()
	steps, err := fs.Glob(migrations, "migration/*.sql") // sorted
	if err != nil {
		return err
	}
	var there bool
	if err := pool.QueryRow(ctx, "SELECT to_regclass('sluice_audit_schema') IS NOT NULL").Scan(&there); err != nil {
		return err
	}
	if there {
		have, err := version(ctx, pool)
		if err != nil || have == len(steps) {
			return err // the common case needs no lock, nor a right to make tables
		}
		if have > len(steps) {
			return fmt.Errorf("%w: schema version %d, and this program knows %d", ErrSchema, have, len(steps))
		}
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(tableLock)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS sluice_audit_schema (version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"); err != nil {
			return err
		}
		have, err := version(ctx, tx)
		if err != nil {
			return err
		}
		for i := have; i < len(steps); i++ {
			text, err := fs.ReadFile(migrations, steps[i])
			if err != nil {
				return err
			}
			// Without arguments and prepared statements, several at once.
			if _, err := tx.Conn().PgConn().Exec(ctx, string(text)).ReadAll(); err != nil {
				return fmt.Errorf("%s: %w", steps[i], err)
			}
			if _, err := tx.Exec(ctx, "INSERT INTO sluice_audit_schema (version) VALUES ($1)", i+1); err != nil {
				return err
			}
		}
		return nil
	})
}

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func version(ctx context.Context, db querier) (v int, err error) {
	err = db.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM sluice_audit_schema").Scan(&v)
	return v, err
}
