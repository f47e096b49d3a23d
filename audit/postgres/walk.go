package postgres

import (
	"cmp"
	"context"
	"slices"
	"sort"

	"github.com/sluice-gateway/sluice/audit"
)

const (
	// page is how many segments are looked up at once, and atOnce how many are read.
	page   = 32
	atOnce = 16
	// maxWidth is how many days are looked through at once, at most.
	maxWidth = 64
)

// walk goes through one replica's log.
type walk struct {
	*Log
	query *audit.Query
	sets  [][]int64 // of which each needs one in a segment
	replica
	// next is the record to go on from: the first that is not looked at, or, where the
	// newest come first, the one behind it. given is the same of what was given.
	next, given int64
	begun       bool
	spans       []span
	low, last   int64 // of segments' first records, by the times asked for
	width       int   // in days
	read        int   // segments at once
	todo        []candidate
	more        bool // there may be more in the days looked up
	whole       bool // all segments of these days are read: an index of them is damaged
	from, to    int  // those days, in spans
	items       []item
	ended       bool
}

// item is a record that was found, or an error in its place.
type item struct {
	found audit.Found
	err   error
}

// step looks for the next records.
func (w *walk) step(ctx context.Context) {
	ctx, cancel := bound(ctx)
	defer cancel()
	err := ctx.Err()
	if err == nil {
		err = w.forward(ctx)
	}
	if err != nil {
		w.ended, w.todo = true, nil
		w.items = append(w.items, item{err: err})
	}
}

func (w *walk) forward(ctx context.Context) error {
	if !w.begun {
		w.begun = true
		if w.impossible() {
			w.ended = true
			return nil
		}
		if !w.query.Oldest && w.next > w.sealed {
			if err := w.readHead(ctx); err != nil || len(w.items) > 0 {
				return err
			}
		}
	}
	if len(w.todo) > 0 {
		return w.segments(ctx)
	}
	if w.spans == nil {
		if err := w.begin(ctx); err != nil {
			return err
		}
	}
	if w.more || w.days() {
		err := w.lookUp(ctx)
		if corrupt(err) && !w.whole {
			w.whole = true
			err = w.lookUp(ctx)
		}
		if corrupt(err) {
			w.skip(err)
			return nil
		}
		return err
	}
	if w.query.Oldest {
		return w.end(ctx)
	}
	w.ended = true
	return nil
}

// impossible tells that nothing can be found: there is nothing, or a word is asked
// for that no key has a hash of.
func (w *walk) impossible() bool {
	for _, set := range w.sets {
		if len(set) == 0 {
			return true
		}
	}
	return w.query.Oldest && w.next >= w.size || !w.query.Oldest && w.next <= w.first
}

// skip goes on behind the days that the walk is at, whose segments can't be told.
func (w *walk) skip(cause error) {
	first, end := max(w.spans[w.from].first, w.first), min(w.spans[w.to].first, w.sealed)
	if w.query.Oldest {
		first = max(first, w.next)
	} else {
		end = min(end, w.next)
	}
	w.more = false
	w.past()
	if first < end {
		w.damaged(first, end-first, cause)
	}
}

// begin reads which days there are, and bounds the segments by time. The latest
// time up to each segment only ever goes up, so that the first that can matter is
// found by it; and as far as times have ever gone back, the last one.
func (w *walk) begin(ctx context.Context) (err error) {
	if w.spans, err = w.Log.spans(ctx, w.id); err != nil {
		return err
	}
	w.low, w.last = 0, always
	w.from, w.to = len(w.spans), len(w.spans)
	if w.query.Oldest {
		w.from, w.to = 0, 0
	}
	if since := micro(w.query.Since, never); since > never {
		if w.low, _, err = w.reach(ctx, since); err != nil {
			return err
		}
	}
	if until := micro(w.query.Until, always); until < always {
		// As of now: what was in the head may have become segments.
		if err := w.pool.QueryRow(ctx, "SELECT back FROM sluice_audit_replica WHERE id = $1", w.id).Scan(&w.back); err != nil {
			return err
		}
		if _, w.last, err = w.reach(ctx, until+w.back+1); err != nil {
			return err
		}
	}
	ends := span{day: farDay, first: always, high: always} // where the last day ends
	if w.query.Oldest {
		w.next = max(w.next, min(w.low, w.sealed))
		ends.first = w.sealed
	}
	w.spans = append(w.spans, ends)
	return nil
}

// reach is the first record of the first segment up to whose end there is a time
// that is not earlier: from and to are the same, unless what says it is damaged.
func (w *walk) reach(ctx context.Context, at int64) (from, to int64, err error) {
	i := sort.Search(len(w.spans), func(i int) bool { return w.spans[i].high >= at })
	if i == len(w.spans) {
		return always, always, nil
	}
	first := w.spans[i].first
	err = w.pool.QueryRow(ctx, "SELECT coalesce((SELECT first FROM sluice_audit_segment WHERE day = $1 AND replica = $2 AND high >= $3 ORDER BY high, first LIMIT 1), $4)", w.spans[i].day, w.id, at, first).Scan(&first)
	if corrupt(err) {
		return w.spans[i].first, always, nil
	}
	return first, first, err
}

// days goes on to the next days in which there can be something; more of them each
// time, since there was nothing before. spans has an end behind the last day.
func (w *walk) days() bool {
	w.whole = false
	n := len(w.spans) - 1
	for {
		if w.query.Oldest {
			if w.from = w.to; w.from >= n || w.spans[w.from].first > w.last {
				return false
			}
			w.to = min(w.from+w.width, n)
			if w.spans[w.to].first > max(w.next, w.low) {
				break
			}
			continue
		}
		w.to = min(w.from, n)
		if w.to == 0 || w.spans[w.to].first <= max(w.low, w.first) {
			return false
		}
		w.from = max(w.to-w.width, 0)
		if w.spans[w.from].first < w.next && w.spans[w.from].first <= w.last {
			break
		}
	}
	w.width = min(2*w.width, maxWidth)
	return true
}

// readHead reads what of the head is before, or from, where the walk is.
func (w *walk) readHead(ctx context.Context) error {
	where := "first < $2"
	if w.query.Oldest {
		where = "first + n > $2"
	}
	rows, err := w.pool.Query(ctx, "SELECT first, n, leaves, body FROM sluice_audit_head WHERE replica = $1 AND "+where+" ORDER BY first", w.id, w.next)
	if err != nil {
		return err
	}
	entries, damaged, err := readHead(rows, w.name)
	if err == nil {
		err = w.give(ctx, entries, farPast, farDay)
	}
	if corrupt(err) {
		w.items, entries = nil, nil
		damaged, err = []*audit.DamagedError{damage(w.name, w.sealed, w.size-w.sealed, err)}, nil
	}
	if err != nil {
		return err
	}
	for _, d := range damaged {
		w.items = append(w.items, item{found: audit.Found{Entry: audit.Entry{Place: d.First}}, err: d})
	}
	slices.SortFunc(w.items, func(a, b item) int {
		if w.query.Oldest {
			a, b = b, a
		}
		return cmp.Compare(b.found.Place, a.found.Place)
	})
	if len(entries) > 0 && !w.query.Oldest {
		w.next = min(w.next, int64(entries[0].Place))
	}
	return nil
}

// end reads the head, once all segments are read; unless it has become one
// meanwhile.
func (w *walk) end(ctx context.Context) error {
	if w.ended = true; w.sealed >= w.size {
		return nil
	}
	w.next = max(w.next, w.sealed)
	var now int64
	if err := w.readHead(ctx); err != nil {
		return err
	}
	if err := w.pool.QueryRow(ctx, "SELECT sealed FROM sluice_audit_replica WHERE id = $1", w.id).Scan(&now); err != nil {
		return err
	}
	if now == w.sealed {
		return nil
	}
	// What was read of it may begin too late: it is read again, as segments.
	w.items = nil
	w.ended, w.sealed, w.spans, w.more = false, now, nil, false
	return nil
}

// give takes what the query asks for, in the order of the search.
func (w *walk) give(ctx context.Context, entries []audit.Entry, from, to any) error {
	var found []audit.Found
	for i := range entries {
		at := int64(entries[i].Place) // not what the record says of itself: that may have been changed
		if at < w.first || w.query.Oldest && at < w.next || !w.query.Oldest && at >= w.next || !w.query.Matches(entries[i].Record) {
			continue
		}
		found = append(found, audit.Found{Entry: entries[i]})
	}
	found, err := w.haveWords(ctx, found, from, to)
	if err != nil {
		return err
	}
	if !w.query.Oldest {
		slices.Reverse(found)
	}
	for _, f := range found {
		w.items = append(w.items, item{found: f})
	}
	return nil
}
