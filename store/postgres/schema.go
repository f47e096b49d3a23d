package postgres

import (
	"context"
	"embed"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluice-gateway/sluice/pg"
	"github.com/sluice-gateway/sluice/store"
)

//go:embed migration/*.sql
var migrations embed.FS

// schema is what steps make of the store's tables. The lock is "sluice" in numbers and
// means nothing.
func schema(steps []store.Migration) pg.Schema {
	s := pg.Schema{Table: "sluice_schema", Lock: 0x736c75696365}
	for _, step := range steps {
		s.Steps = append(s.Steps, pg.Step{Name: step.Name, SQL: step.SQL})
	}
	return s
}

// Schema says which version the schema of a database has. It changes nothing.
func Schema(ctx context.Context, url string) (store.Schema, error) {
	steps, err := store.Migrations(migrations, "migration")
	if err != nil {
		return store.Schema{}, err
	}
	found := store.Schema{Want: len(steps)}
	pool, err := connect(ctx, url)
	if err != nil {
		return found, err
	}
	defer pool.Close()
	ctx, cancel := store.Bound(ctx)
	defer cancel()
	found.Have, err = schema(steps).Version(ctx, pool)
	return found, store.Away(err)
}

func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	steps, err := store.Migrations(migrations, "migration")
	if err != nil {
		return err
	}
	return migrateTo(ctx, pool, steps)
}

func migrateTo(ctx context.Context, pool *pgxpool.Pool, steps []store.Migration) error {
	var newer error
	err := schema(steps).Migrate(ctx, pool, func(have int) error {
		newer = store.Schema{Have: have, Want: len(steps)}.Check()
		return newer
	})
	if newer != nil {
		return newer
	}
	return store.Away(err)
}
