package sqlite

import (
	"context"
	"database/sql"
)

// Exec runs a statement on the writing connection, for tests that break it.
func (l *Log) Exec(ctx context.Context, query string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.conn.ExecContext(ctx, query)
	return err
}

// Synchronous is SQLite's own word for how it syncs: 1 is NORMAL, 2 is FULL.
func (l *Log) Synchronous(ctx context.Context) (level int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err = l.conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&level)
	return level, err
}

// Row reads one.
func (l *Log) Row(ctx context.Context, query string, args ...any) *sql.Row {
	return l.read.QueryRowContext(ctx, query, args...)
}
