package postgres

import (
	"context"

	"github.com/sluice-gateway/sluice/store"
)

// Exec runs a statement.
func (s *Store) Exec(ctx context.Context, sql string) error {
	_, err := s.pool.Exec(ctx, sql)
	return err
}

// MigrateTo takes other steps than those of this program.
func (s *Store) MigrateTo(ctx context.Context, steps []store.Migration) error {
	return migrateTo(ctx, s.pool, steps)
}

// Steps are this program's.
func Steps() ([]store.Migration, error) { return store.Migrations(migrations, "migration") }
