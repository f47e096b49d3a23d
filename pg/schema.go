package pg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// migrating is how long migrations may take, the wait for a replica that migrates at
// the same time included.
const migrating = time.Minute

// Schema is one part's tables, and the steps that make them.
type Schema struct {
	// Table is where it says how many of the steps were taken.
	Table string
	// Lock is the advisory lock of who takes them.
	Lock  int64
	Steps []Step
}

// Step is one or several statements.
type Step struct{ Name, SQL string }

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Version is how many steps were taken in a database; 0 for none at all.
func (s Schema) Version(ctx context.Context, db querier) (v int, err error) {
	var there bool
	if err := db.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", s.Table).Scan(&there); err != nil || !there {
		return 0, err
	}
	return s.version(ctx, db)
}

func (s Schema) version(ctx context.Context, db querier) (v int, err error) {
	err = db.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM "+s.Table).Scan(&v)
	return v, err
}

// Migrate takes all steps that are missing in one transaction; of replicas that start
// at once, one does and the others wait for it. check is asked first, and ends it with
// its error. Where no step is missing it needs no lock, nor a right to make tables.
func (s Schema) Migrate(ctx context.Context, pool *pgxpool.Pool, check func(have int) error) error {
	ctx, cancel := context.WithTimeout(ctx, migrating)
	defer cancel()
	have, err := s.Version(ctx, pool)
	if err != nil {
		return err
	}
	if err := check(have); err != nil || have >= len(s.Steps) {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return s.take(ctx, tx) })
}

func (s Schema) take(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", s.Lock); err != nil {
		return err
	}
	create := "CREATE TABLE IF NOT EXISTS " + s.Table + " (version integer PRIMARY KEY, name text NOT NULL DEFAULT '', at timestamptz NOT NULL DEFAULT now())"
	if _, err := tx.Exec(ctx, create); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "ALTER TABLE "+s.Table+" ADD COLUMN IF NOT EXISTS name text NOT NULL DEFAULT ''"); err != nil {
		return err // the audit log's first table had none
	}
	have, err := s.version(ctx, tx) // another may have been faster
	if err != nil {
		return err
	}
	for i := have; i < len(s.Steps); i++ {
		// Without arguments and prepared statements, several at once.
		if _, err := tx.Conn().PgConn().Exec(ctx, s.Steps[i].SQL).ReadAll(); err != nil {
			return fmt.Errorf("migration %d (%s): %w", i+1, s.Steps[i].Name, err)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO "+s.Table+" (version, name) VALUES ($1, $2)", i+1, s.Steps[i].Name); err != nil {
			return err
		}
	}
	return nil
}
