package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/audit/segment"
)

// candidate is a segment in which there may be something.
type candidate struct {
	first, n int64
	at       []int // where; nil is anywhere
}

// page is how many segments are looked up at once, or a few more.
const page = 32

// candidates looks up the next segments in which there may be something, span by
// span. Where an index can't be read, all segments of the span are. Where these can't
// be told either, the span is what is damaged, and the search goes on behind it.
func (s *search) candidates(ctx context.Context, tx *sql.Tx) (damaged, err error) {
	from, to, err := s.reach(ctx, tx)
	if err != nil {
		return nil, err
	}
	for from <= to && len(s.todo) < page {
		span := spanOf(to)
		if s.query.Oldest {
			span = spanOf(from)
		}
		first, last := max(from, span*spanRecords), min(to, (span+1)*spanRecords-1)
		all, err := s.inSpan(ctx, tx, span, first, last)
		if corrupt(err) {
			all, err = s.lookUp(ctx, tx, "SELECT first, n, x'' FROM leaf WHERE first BETWEEN ? AND ?", first, last)
		}
		switch {
		case corrupt(err) && len(s.todo) > 0:
			return nil, nil // in its turn
		case corrupt(err):
			if s.next = first; s.query.Oldest {
				s.next, s.floor = last+1, last+1
			}
			return s.damaged(first, last-first+1, err), nil
		case err != nil:
			return nil, err
		}
		s.todo = append(s.todo, s.ordered(all, first, last)...)
		if s.query.Oldest {
			from = last + 1
		} else {
			to = first - 1
		}
	}
	return nil, nil
}

// ordered puts segments in the order of the search, and those among them that were
// never indexed: what is in them is not known.
func (s *search) ordered(all []candidate, first, last int64) []candidate {
	for _, c := range s.unread {
		if c.first >= first && c.first <= last {
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		if s.query.Oldest {
			return cmp.Compare(a.first, b.first)
		}
		return cmp.Compare(b.first, a.first)
	})
	return slices.CompactFunc(all, func(a, b candidate) bool { return a.first == b.first })
}

// inSpan looks up the segments of a span that begin from first to last.
func (s *search) inSpan(ctx context.Context, tx *sql.Tx, span, first, last int64) ([]candidate, error) {
	if s.query.Call != "" {
		return s.callsIn(ctx, tx, span, first, last)
	}
	where, args := s.inTime([]string{"s.first BETWEEN ? AND ?"}, []any{first, last})
	if len(s.sets) == 0 {
		return s.lookUp(ctx, tx, "SELECT s.first, s.n, x'' FROM segment s WHERE "+strings.Join(where, " AND "), args...)
	}
	what := "t.first, s.n, t.at"
	for i, set := range s.sets {
		if len(set) == 0 {
			return nil, nil // a word that no key has a hash of
		}
		in := "key IN (?" + strings.Repeat(", ?", len(set)-1) + ")"
		if i == 0 {
			// The rows of the rarest kind of term lead; a segment with two of them counts once.
			if in = "t.span = ? AND t." + in; len(set) > 1 {
				what = "DISTINCT t.first, s.n, x''"
			}
			where = append(where, in, "t.first BETWEEN ? AND ?")
		} else {
			where = append(where, "EXISTS (SELECT 1 FROM term WHERE span = ? AND first = s.first AND "+in+")")
		}
		args = append(args, span)
		for _, key := range set {
			args = append(args, key)
		}
		if i == 0 {
			args = append(args, first, last)
		}
	}
	return s.lookUp(ctx, tx, "SELECT "+what+" FROM term t CROSS JOIN segment s ON s.first = t.first WHERE "+strings.Join(where, " AND "), args...)
}

func (s *search) lookUp(ctx context.Context, tx *sql.Tx, query string, args ...any) (all []candidate, err error) {
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

// reach bounds the segments by where the search is, and by time: from and to are
// what the first and the last of them begins with. The latest time up to each segment
// only ever goes up, so that the first that can matter is found by it; and as far as
// times have ever gone back, the last one.
func (s *search) reach(ctx context.Context, tx *sql.Tx) (from, to int64, err error) {
	one := func(other int64, query string, args ...any) (at int64) {
		scanned := tx.QueryRowContext(ctx, query, args...).Scan(&at)
		if scanned == nil {
			return at
		}
		if !errors.Is(scanned, sql.ErrNoRows) && !corrupt(scanned) {
			err = errors.Join(err, scanned)
		}
		return other // the bound is wider
	}
	since, until := micro(s.query.Since, never), micro(s.query.Until, always)
	from = max(s.floor, one(0, "SELECT first FROM state"))
	to = one(one(-1, "SELECT size - 1 FROM state"), "SELECT coalesce((SELECT first FROM head ORDER BY first LIMIT 1), (SELECT size FROM state), 0) - 1")
	if s.query.Oldest {
		from = max(from, min(s.next, one(s.next, "SELECT first FROM segment WHERE first <= ?1 AND first > ?1 - ?2 AND first + n > ?1 ORDER BY first DESC LIMIT 1", s.next, spanRecords)))
	} else {
		to = min(to, s.next-1)
	}
	if since > never {
		from = max(from, one(never, "SELECT coalesce((SELECT first FROM segment WHERE high >= ? ORDER BY high, first LIMIT 1), ?)", since, always))
	}
	if until < always {
		to = min(to, one(always, "SELECT first FROM segment WHERE high > ? + (SELECT back FROM state) ORDER BY high, first LIMIT 1", until))
	}
	if s.unread == nil {
		s.unread, _ = s.lookUp(ctx, tx, fmt.Sprintf("SELECT first, n, x'' FROM segment WHERE low = %d", never))
		s.unread = slices.Grow(s.unread, 1)
	}
	return from, to, err
}

// inTime adds what bounds a segment by time.
func (s *search) inTime(where []string, args []any) ([]string, []any) {
	if !s.query.Since.IsZero() {
		where, args = append(where, "s.top >= ?"), append(args, s.query.Since.UnixMicro())
	}
	if !s.query.Until.IsZero() {
		where, args = append(where, "s.low < ?"), append(args, s.query.Until.UnixMicro())
	}
	return where, args
}

func micro(t time.Time, zero int64) int64 {
	if t.IsZero() {
		return zero
	}
	return t.UnixMicro()
}
