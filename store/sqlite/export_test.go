package sqlite

import (
	"context"

	"github.com/sluice-gateway/sluice/store"
)

// Exec runs a statement on the connection that writes.
func (s *Store) Exec(ctx context.Context, sql string) error {
	_, err := s.write.ExecContext(ctx, sql)
	return err
}

// MigrateTo takes other steps than those of this program.
func (s *Store) MigrateTo(ctx context.Context, steps []store.Migration) error {
	return migrateTo(ctx, s.write, steps)
}

// Steps are this program's.
func Steps() ([]store.Migration, error) { return store.Migrations(migrations, "migration") }
