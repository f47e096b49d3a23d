package postgres

import "context"

// Exec runs a statement.
func (l *Log) Exec(ctx context.Context, sql string, args ...any) error {
	_, err := l.pool.Exec(ctx, sql, args...)
	return err
}

// Count gives a number.
func (l *Log) Count(ctx context.Context, sql string, args ...any) (n int64, err error) {
	err = l.pool.QueryRow(ctx, sql, args...).Scan(&n)
	return n, err
}
