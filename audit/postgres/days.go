package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// daily are the tables that have a part for each day, in the order in which they
// are locked.
var daily = []string{"sluice_audit_segment", "sluice_audit_term", "sluice_audit_call", "sluice_audit_payload"}

const oneDay = 24 * time.Hour

// dayOf is the day of a time in microseconds, not before 1970.
func dayOf(micros int64) time.Time {
	return time.UnixMicro(max(micros, 0)).UTC().Truncate(oneDay)
}

func partName(table string, day time.Time) string { return table + day.Format("_20060102") }

// ensure makes the parts of a day and of the one after it, if they are missing.
func (l *Log) ensure(ctx context.Context, day time.Time) error {
	if _, known := l.days.Load(day); known {
		return nil
	}
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(tableLock)); err != nil {
			return err
		}
		for _, d := range []time.Time{day, day.Add(oneDay)} {
			for _, table := range daily {
				if err := makePart(ctx, tx, table, d); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("making the tables of %s: %w", day.Format(time.DateOnly), err)
	}
	l.days.Store(day, true)
	return nil
}

// makePart makes a table and attaches it: unlike PARTITION OF this does not wait
// for who reads or writes.
func makePart(ctx context.Context, tx pgx.Tx, table string, day time.Time) error {
	name := partName(table, day)
	var there bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&there); err != nil || there {
		return err
	}
	for _, query := range []string{
		fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING INDEXES)", name, table),
		fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')", table, name, day.Format(time.DateOnly), day.Add(oneDay).Format(time.DateOnly)),
	} {
		if _, err := tx.Exec(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// span is a day of which a replica has segments: the first record of them, and the
// latest time up to its end. Days, records and times go up together.
type span struct {
	day   time.Time
	first int64
	high  int64
}

func (l *Log) spans(ctx context.Context, replica int32) ([]span, error) {
	rows, err := l.pool.Query(ctx, "SELECT day, first, high FROM sluice_audit_day WHERE replica = $1 ORDER BY day", replica)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s span, err error) {
		err = row.Scan(&s.day, &s.first, &s.high)
		return s, err
	})
}
