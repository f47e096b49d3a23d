package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/audit/segment"
)

// candidates looks up the next segments in which there may be something.
func (s *search) candidates(ctx context.Context, tx *sql.Tx) (all []candidate, err error) {
	if s.query.Call != "" {
		return s.byCall(ctx, tx)
	}
	where, args, err := s.inRange(ctx, tx)
	if err != nil {
		return nil, err
	}
	from, at := "segment s", "x''"
	for i, set := range s.sets {
		if len(set) == 0 {
			return nil, nil // a word that no key has a hash of
		}
		in := "key IN (?" + strings.Repeat(", ?", len(set)-1) + ")"
		switch {
		case i == 0:
			// The rows of the rarest kind of term lead; a segment with two of them counts once.
			from = "term t CROSS JOIN segment s ON s.first = t.first"
			if at = "t.at"; len(set) > 1 {
				at = "x''"
			}
			where = append(where, "t."+in)
		default:
			where = append(where, "EXISTS (SELECT 1 FROM term WHERE first = s.first AND "+in+")")
		}
		for _, key := range set {
			args = append(args, key)
		}
	}
	order, distinct := "DESC", ""
	if s.query.Oldest {
		order = "ASC"
	}
	if len(s.sets) > 0 && len(s.sets[0]) > 1 {
		distinct = "DISTINCT "
	}
	by := "s.first"
	if len(s.sets) > 0 {
		by = "t.first" // in the order of the table
	}
	return s.lookUp(ctx, tx, "SELECT "+distinct+by+", s.n, "+at+" FROM "+from+" WHERE "+strings.Join(where, " AND ")+" ORDER BY "+by+" "+order+" LIMIT ?", append(args, page))
}

func (s *search) lookUp(ctx context.Context, tx *sql.Tx, query string, args []any) (all []candidate, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c candidate
		var at sql.RawBytes
		if err := rows.Scan(&c.first, &c.n, &at); err != nil {
			return nil, err
		}
		c.at = segment.Places(at)
		all = append(all, c)
	}
	return all, rows.Err()
}

// inRange bounds the segments by where the search is, and by time. The latest time
// up to each segment only ever goes up, so that the first that can matter is found
// by it; and as far as times have ever gone back, the last one.
func (s *search) inRange(ctx context.Context, tx *sql.Tx) (where []string, args []any, err error) {
	column := "s.first"
	if len(s.sets) > 0 {
		column = "t.first" // of the leading table, so that its index is used
	}
	if s.query.Oldest {
		where, args = append(where, column+" > ?", "s.first + s.n > ?"), append(args, s.next-SegmentSize, s.next)
	} else {
		where, args = append(where, column+" < ?"), append(args, s.next)
	}
	since, until := micro(s.query.Since, never), micro(s.query.Until, always)
	if since > never {
		var first sql.NullInt64
		if err := tx.QueryRowContext(ctx, "SELECT first FROM segment WHERE high >= ? ORDER BY high, first LIMIT 1", since).Scan(&first); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, nil, err
		}
		if !first.Valid {
			first.Int64 = always
		}
		where, args = append(where, column+" >= ?", "s.top >= ?"), append(args, first.Int64, since)
	}
	if until < always {
		last := int64(always)
		err := tx.QueryRowContext(ctx, "SELECT first FROM segment WHERE high > ? + (SELECT back FROM state) ORDER BY high, first LIMIT 1", until).Scan(&last)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, nil, err
		}
		where, args = append(where, column+" <= ?", "s.low < ?"), append(args, last, until)
	}
	return where, args, nil
}

func micro(t time.Time, zero int64) int64 {
	if t.IsZero() {
		return zero
	}
	return t.UnixMicro()
}

// byCall looks through the filters of all segments. It gives one candidate at a
// time: there is hardly ever a second.
func (s *search) byCall(ctx context.Context, tx *sql.Tx) (all []candidate, err error) {
	query := "SELECT c.first, s.n, c.filter FROM calls c JOIN segment s ON s.first = c.first WHERE c.first < ? ORDER BY c.first DESC"
	next := s.next
	if s.query.Oldest {
		query = "SELECT c.first, s.n, c.filter FROM calls c JOIN segment s ON s.first = c.first WHERE c.first > ? ORDER BY c.first"
		next -= SegmentSize
	}
	rows, err := tx.QueryContext(ctx, query, next)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c candidate
		var filter sql.RawBytes
		if err := rows.Scan(&c.first, &c.n, &filter); err != nil {
			return nil, err
		}
		if mayHold(filter, s.query.Call) && (!s.query.Oldest || c.first+c.n > s.next) {
			return []candidate{c}, nil
		}
	}
	return nil, rows.Err()
}
