package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluice-gateway/sluice/pg"
)

//go:embed migration/*.sql
var migrations embed.FS

const (
	// tableLock is the advisory lock of who makes or drops tables, and lockClass the
	// first half of those of replicas' writers. The numbers mean nothing.
	tableLock = 0x736c75696361
	lockClass = 0x736c7561
)

// ErrSchema is the answer to a database that a newer program has used.
var ErrSchema = errors.New("the audit log was used by a newer sluice; start that one")

// migrate makes the tables, or brings them up to date.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	files, err := fs.Glob(migrations, "migration/*.sql") // sorted
	if err != nil {
		return err
	}
	s := pg.Schema{Table: "sluice_audit_schema", Lock: tableLock}
	for _, name := range files {
		text, err := fs.ReadFile(migrations, name)
		if err != nil {
			return err
		}
		s.Steps = append(s.Steps, pg.Step{Name: path.Base(name), SQL: string(text)})
	}
	return s.Migrate(ctx, pool, func(have int) error {
		if have > len(files) {
			return fmt.Errorf("%w: schema version %d, and this program knows %d", ErrSchema, have, len(files))
		}
		return nil
	})
}
