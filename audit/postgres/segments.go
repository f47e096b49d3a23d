package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
	"github.com/sluice-gateway/sluice/pg"
)

// excerpt is what is read of a segment: the records from one on, and where its bytes
// and hashes are, counted from 1 as SQL does.
type excerpt struct {
	from, n                      int
	bytes, size, hashes, hashLen int32
}

// excerpt finds the blocks in which something is wanted.
func (c *candidate) excerpt() excerpt {
	all := excerpt{n: int(c.n), bytes: 1, size: 1 << 30, hashes: 1, hashLen: 1 << 30}
	if len(c.at) == 0 {
		return all
	}
	low, high := c.at[0]/blockSize, c.at[len(c.at)-1]/blockSize
	if low < 0 || high < low || high >= len(c.ends) {
		return all // it is damaged, and found to be so
	}
	e := excerpt{from: low * blockSize, bytes: 1, size: c.ends[high]}
	if low > 0 {
		e.bytes, e.size = c.ends[low-1]+1, c.ends[high]-c.ends[low-1]
	}
	e.n = min((high+1)*blockSize, int(c.n)) - e.from
	e.hashes, e.hashLen = int32(e.from*hashSize+1), int32(e.n*hashSize)
	if e.size < 0 || e.n <= 0 {
		return all
	}
	return e
}

// asked is what one statement reads of some segments.
type asked struct {
	low, high                         time.Time
	firsts                            []int64
	bytes, sizes, hashes, hashLengths []int32
}

func (a *asked) add(c candidate, e excerpt) {
	if len(a.firsts) == 0 || c.day.Before(a.low) {
		a.low = c.day
	}
	if len(a.firsts) == 0 || c.day.After(a.high) {
		a.high = c.day
	}
	a.firsts, a.bytes, a.sizes = append(a.firsts, c.first), append(a.bytes, e.bytes), append(a.sizes, e.size)
	a.hashes, a.hashLengths = append(a.hashes, e.hashes), append(a.hashLengths, e.hashLen)
}

// content is what was read of a segment.
type content struct{ body, leaves []byte }

// segments reads the next segments that were looked up. One that is gone has been
// pruned meanwhile.
func (w *walk) segments(ctx context.Context) error {
	some := w.todo[:min(len(w.todo), w.read)]
	var a asked
	excerpts := make([]excerpt, len(some))
	for i, c := range some {
		excerpts[i] = c.excerpt()
		a.add(c, excerpts[i])
	}
	have, err := w.contents(ctx, a)
	switch {
	case corrupt(err) && len(some) > 1:
		w.read = 1 // one by one it shows which
		return nil
	case corrupt(err):
		w.damaged(some[0].first, some[0].n, err)
	case err != nil:
		return err
	}
	for i, c := range some {
		if got, there := have[c.first]; there {
			if err := w.segment(ctx, c, excerpts[i], got); err != nil {
				return err
			}
		}
		if w.next = c.first; w.query.Oldest {
			w.next = c.first + c.n
		}
		w.todo = w.todo[1:]
	}
	w.read = min(2*w.read, atOnce)
	if len(w.todo) == 0 {
		w.past()
	}
	return nil
}

func (w *walk) contents(ctx context.Context, a asked) (map[int64]content, error) {
	rows, err := w.pool.Query(ctx, `SELECT s.first, substring(s.body FROM c.bytes FOR c.size), coalesce(substring(l.leaves FROM c.hashes FOR c.hash_length), ''::bytea)
		FROM unnest($4::bigint[], $5::integer[], $6::integer[], $7::integer[], $8::integer[]) c (first, bytes, size, hashes, hash_length)
		CROSS JOIN LATERAL (SELECT first, body FROM sluice_audit_segment WHERE day BETWEEN $1 AND $2 AND replica = $3 AND first = c.first OFFSET 0) s
		LEFT JOIN LATERAL (SELECT leaves FROM sluice_audit_leaf WHERE replica = $3 AND first = c.first OFFSET 0) l ON true`, a.low, a.high, w.id, a.firsts, a.bytes, a.sizes, a.hashes, a.hashLengths)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	have := make(map[int64]content, len(a.firsts))
	for rows.Next() {
		var first int64
		var c content
		if err := rows.Scan(&first, &c.body, &c.leaves); err != nil {
			return nil, err
		}
		have[first] = c
	}
	return have, rows.Err()
}

func (w *walk) segment(ctx context.Context, c candidate, e excerpt, got content) error {
	body, err := w.expand.DecodeAll(got.body, nil)
	var entries []audit.Entry
	if err == nil {
		at := slices.Clone(c.at)
		for i := range at {
			at[i] -= e.from
		}
		if w.query.Call != "" { // a filter has led here, maybe in vain: little is decoded to find out
			at = segment.Containing(body, e.n, w.query.Call)
		}
		entries, err = segment.Unpack(c.first+int64(e.from), body, got.leaves, e.n, at)
	}
	if err == nil {
		err = w.give(ctx, entries, c.day, c.day)
		if err == nil || !corrupt(err) {
			return err
		}
	}
	w.damaged(c.first, c.n, err)
	return nil
}

// damaged has the search tell of records in their place.
func (w *walk) damaged(first, n int64, cause error) {
	w.items = append(w.items, item{err: damage(w.name, first, n, cause)})
}

// corrupt tells whether an error is of a file of the database that can't be read:
// others may well be.
func corrupt(err error) bool { return pg.Refused(err, "XX", "58") }

func damage(name string, first, n int64, cause error) *audit.DamagedError {
	return &audit.DamagedError{Replica: name, First: uint64(first), Last: uint64(first + n - 1), Cause: cause}
}
