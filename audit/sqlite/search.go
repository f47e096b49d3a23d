package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"math"
	"slices"
	"strconv"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
)

// Search is [audit.Log]'s. It reads in short transactions: writing does not wait
// for who reads slowly.
func (l *Log) Search(ctx context.Context, q audit.Query) iter.Seq2[audit.Found, error] {
	return func(yield func(audit.Found, error) bool) {
		s, err := l.search(q)
		if err != nil {
			yield(audit.Found{}, err)
			return
		}
		for given := 0; !s.done; {
			all, err := s.step(ctx)
			for _, one := range all {
				if !yield(one.Found, one.damaged) {
					return
				}
				if one.damaged != nil {
					continue
				}
				if given++; given == q.Limit {
					return
				}
			}
			if err != nil {
				yield(audit.Found{}, err)
				return
			}
		}
	}
}

// search is where a search has come to.
type search struct {
	*Log
	query audit.Query
	// sets are terms of which each needs one in a segment.
	sets [][]int64
	// next is the record to go on from: the first that is not done, or, where the
	// newest come first, the one behind it. floor is behind what was told of as damaged,
	// where the oldest come first.
	next, floor int64
	// head tells that the head is done.
	head bool
	// todo are segments that were looked up and are not read yet.
	todo []candidate
	// unread are segments that no index leads to.
	unread []candidate
	done   bool
}

// result is a record, or stands for those that can't be read.
type result struct {
	audit.Found
	damaged error
}

func (l *Log) search(q audit.Query) (*search, error) {
	s := &search{Log: l, query: q, sets: segment.For(&q), next: math.MaxInt64}
	if q.Oldest {
		s.next = 0
	}
	if q.After != "" {
		at, err := strconv.ParseInt(q.After, 10, 64)
		if err != nil || at < 0 {
			return nil, audit.ErrCursor
		}
		if s.next = at; q.Oldest {
			s.next = at + 1
		}
	}
	return s, nil
}

// step gives what is found in the next segments or in the head. An error is the
// search's end.
func (s *search) step(ctx context.Context) (all []result, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := bound(ctx)
	defer cancel()
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	if !s.head && !s.query.Oldest {
		s.head = true
		return s.inHead(ctx, tx)
	}
	if len(s.todo) == 0 {
		damaged, err := s.candidates(ctx, tx)
		switch {
		case err != nil:
			return nil, err
		case damaged != nil:
			return []result{{damaged: damaged}}, nil
		}
	}
	if len(s.todo) == 0 {
		if s.done = true; s.query.Oldest {
			return s.inHead(ctx, tx)
		}
		return nil, nil
	}
	for n := 0; n < atOnce && len(s.todo) > 0 && len(all) < enough; n++ {
		c := s.todo[0]
		entries, err := s.readSegment(ctx, tx, c)
		if ctx.Err() != nil {
			return all, ctx.Err()
		}
		all = append(all, s.passing(ctx, tx, entries, err)...)
		s.todo = s.todo[1:]
		if s.next = c.first; s.query.Oldest {
			s.next = c.first + c.n
		}
	}
	return all, nil
}

// atOnce is how many segments are read in one transaction, and enough after how
// many records found it is not gone on in it.
const (
	atOnce = 16
	enough = 64
)

// passing are the entries, in the order of the search, that the query asks for, or
// what stands for them.
func (s *search) passing(ctx context.Context, tx *sql.Tx, entries []audit.Entry, damaged error) (all []result) {
	if damaged != nil {
		return []result{{damaged: damaged}}
	}
	for i := range entries {
		e := &entries[i]
		seq := int64(e.Place) // not what the record says of itself: that may have been changed
		if s.query.Oldest && seq < s.next || !s.query.Oldest && seq >= s.next || !s.query.Matches(e.Record) {
			continue
		}
		if len(s.query.Words) > 0 && !s.hasWords(ctx, tx, e.Record) {
			continue
		}
		all = append(all, result{Found: audit.Found{Entry: *e, Cursor: strconv.FormatInt(seq, 10)}})
	}
	if !s.query.Oldest {
		slices.Reverse(all)
	}
	return all
}

// inHead looks through the head, if any of it is before or from where the search is.
func (s *search) inHead(ctx context.Context, tx *sql.Tx) (all []result, err error) {
	where := "first < ?"
	if s.query.Oldest {
		where = "first + n > ?"
	}
	rows, err := tx.QueryContext(ctx, "SELECT first, n, leaves, body FROM head WHERE "+where+" ORDER BY first", s.next)
	var pieces []piece
	if err == nil {
		pieces, err = s.readHead(rows)
	}
	if corrupt(err) {
		pieces, err = s.lostHead(ctx, tx, err)
	}
	if err != nil {
		return nil, err
	}
	if !s.query.Oldest {
		slices.Reverse(pieces)
	}
	for _, p := range pieces {
		all = append(all, s.passing(ctx, tx, p.entries, p.damaged)...)
	}
	if n := len(pieces); n > 0 && !s.query.Oldest {
		s.next = min(s.next, pieces[n-1].first)
	}
	return all, nil
}

// lostHead stands for a head whose rows can't be told: all behind the segments.
func (s *search) lostHead(ctx context.Context, tx *sql.Tx, cause error) ([]piece, error) {
	p := piece{}
	const query = "SELECT coalesce((SELECT first + n FROM leaf ORDER BY first DESC LIMIT 1), 0), size FROM state"
	var size int64
	if err := tx.QueryRowContext(ctx, query).Scan(&p.first, &size); err != nil {
		return nil, err
	}
	p.damaged = s.damaged(p.first, size-p.first, cause)
	return []piece{p}, nil
}

// corrupt tells whether an error is the file's own: other pages may well be read.
func corrupt(err error) bool {
	e := (*sqlite.Error)(nil)
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff { // the rest says more of the same
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR:
		return true
	default:
		return false
	}
}
