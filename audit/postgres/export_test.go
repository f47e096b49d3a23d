package postgres

import (
	"context"
	"testing"
)

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

// Text gives a value, or nothing where a statement has none.
func (l *Log) Text(t testing.TB, sql string) (text string) {
	t.Helper()
	rows, err := l.pool.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return text
}
