package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"math"
	"slices"
	"strconv"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
)

// page is how many segments are looked up at once.
const page = 32

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
			for _, found := range all {
				if !yield(found, nil) {
					return
				}
				if given++; given == q.Limit {
					return
				}
			}
			if err == nil {
				continue
			}
			damaged := (*audit.DamagedError)(nil)
			if !yield(audit.Found{}, err) || !errors.As(err, &damaged) {
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
	// newest come first, the one behind it.
	next int64
	// todo are segments that were looked up and are not read yet.
	todo []candidate
	done bool
}

// candidate is a segment in which there may be something.
type candidate struct {
	first, n int64
	at       []int // where; nil is anywhere
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

// step gives what is found in the next segment or in the head.
func (s *search) step(ctx context.Context) (found []audit.Found, err error) {
	if err := ctx.Err(); err != nil {
		s.done = true
		return nil, err
	}
	ctx, cancel := bound(ctx)
	defer cancel()
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		s.done = true
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	if len(s.todo) == 0 && !s.query.Oldest {
		entries, err := s.readHeadRows(ctx, tx)
		if err != nil || len(entries) > 0 {
			found := s.passing(ctx, tx, entries)
			s.next = s.headFirst(entries)
			return found, s.check(err)
		}
	}
	if len(s.todo) == 0 {
		if s.todo, err = s.candidates(ctx, tx); err != nil {
			s.done = true
			return nil, err
		}
	}
	if len(s.todo) == 0 {
		s.done = true
		if !s.query.Oldest {
			return nil, nil
		}
		entries, err := s.readHeadRows(ctx, tx)
		return s.passing(ctx, tx, entries), err
	}
	for n := 0; n < atOnce && len(s.todo) > 0 && len(found) < enough && err == nil; n++ {
		var more []audit.Found
		more, err = s.segment(ctx, tx)
		found = append(found, more...)
	}
	return found, s.check(err)
}

// atOnce is how many segments are read in one transaction, and enough after how
// many records found it is not gone on in it.
const (
	atOnce = 16
	enough = 64
)

// segment reads the next segment that was looked up.
func (s *search) segment(ctx context.Context, tx *sql.Tx) ([]audit.Found, error) {
	c := s.todo[0]
	s.todo = s.todo[1:]
	entries, err := s.readSegment(ctx, tx, c)
	found := s.passing(ctx, tx, entries)
	if s.next = c.first; s.query.Oldest {
		s.next = c.first + c.n
	}
	return found, err
}

// passing are the entries, in the order of the search, that the query asks for.
func (s *search) passing(ctx context.Context, tx *sql.Tx, entries []audit.Entry) (found []audit.Found) {
	try := func(e *audit.Entry) {
		seq := int64(e.Place) // not what the record says of itself: that may have been changed
		if s.query.Oldest && seq < s.next || !s.query.Oldest && seq >= s.next || !s.query.Matches(e.Record) {
			return
		}
		if len(s.query.Words) > 0 && !s.hasWords(ctx, tx, e.Record) {
			return
		}
		found = append(found, audit.Found{Entry: *e, Cursor: strconv.FormatInt(seq, 10)})
	}
	for i := range entries {
		try(&entries[i])
	}
	if !s.query.Oldest {
		slices.Reverse(found)
	}
	return found
}

// readHeadRows reads the head, if any of it is before or from where the search is.
func (s *search) readHeadRows(ctx context.Context, tx *sql.Tx) ([]audit.Entry, error) {
	where := "first < ?"
	if s.query.Oldest {
		where = "first + n > ?"
	}
	rows, err := tx.QueryContext(ctx, "SELECT first, n, leaves, body FROM head WHERE "+where+" ORDER BY first", s.next)
	if err != nil {
		return nil, err
	}
	return s.readHead(rows)
}

// headFirst is where to go on once the head is read: behind the last segment.
func (s *search) headFirst(entries []audit.Entry) int64 {
	if len(entries) == 0 {
		return s.next
	}
	return int64(entries[0].Place)
}

// check ends the search at an error that it cannot go on behind.
func (s *search) check(err error) error {
	if damaged := (*audit.DamagedError)(nil); err != nil && !errors.As(err, &damaged) {
		s.done = true
	}
	return err
}
