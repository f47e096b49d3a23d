package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/sluice-gateway/sluice/audit/segment"
)

var (
	farPast = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	farDay  = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// candidate is a segment in which there may be something.
type candidate struct {
	first, n int64
	day      time.Time
	ends     []int32 // of its blocks
	at       []int   // where; nil is anywhere
}

// asking is a statement as it is put together.
type asking struct {
	args  []any
	where []string
}

func (a *asking) arg(v any) string {
	a.args = append(a.args, v)
	return fmt.Sprintf("$%d", len(a.args))
}

func (a *asking) need(format string, args ...any) {
	a.where = append(a.where, fmt.Sprintf(format, args...))
}

// lookUp looks up the next segments in the days that the walk is at.
func (w *walk) lookUp(ctx context.Context) error {
	var a asking
	from, to := a.arg(w.spans[w.from].day), a.arg(w.spans[w.to-1].day)
	id := a.arg(w.id)
	lead, at := w.lead(&a, from, to, id)
	order, last := "DESC", w.last
	if w.query.Oldest {
		order, last = "ASC", min(last, w.sealed-1) // what came since is looked at as the head
		next := a.arg(w.next)
		a.need("%s.first > %s - %d AND s.first + s.n > %s", lead, next, maxSegment, next)
	} else {
		a.need("%s.first < %s", lead, a.arg(w.next))
	}
	a.need("%s.first >= %s AND %s.first <= %s", lead, a.arg(max(w.low, w.first-maxSegment)), lead, a.arg(last))
	if since := micro(w.query.Since, never); since > never {
		a.need("s.top >= %s", a.arg(since))
	}
	if until := micro(w.query.Until, always); until < always {
		a.need("s.low < %s", a.arg(until))
	}
	tables := "sluice_audit_segment s"
	if lead == "s" {
		a.need("s.day BETWEEN %s AND %s AND s.replica = %s", from, to, id)
	} else {
		// OFFSET 0 has the index rows lead, whatever the planner believes of tables
		// that it has no statistics of yet.
		tables = fmt.Sprintf("%s %s CROSS JOIN LATERAL (SELECT * FROM sluice_audit_segment WHERE day BETWEEN %s AND %s AND day = %[2]s.day AND replica = %[5]s AND first = %[2]s.first OFFSET 0) s",
			map[string]string{"t": "sluice_audit_term", "c": "sluice_audit_call"}[lead], lead, from, to, id)
	}
	query := fmt.Sprintf("SELECT %s.first, s.n, s.day, s.ends, %s FROM %s WHERE %s ORDER BY %s.first %s LIMIT %d", lead, at, tables, strings.Join(a.where, " AND "), lead, order, page)
	rows, err := w.pool.Query(ctx, query, a.args...)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, scanCandidate)
	if err != nil {
		return err
	}
	w.take(all)
	return nil
}

// lead is the table that leads: the one of the rarest term, of calls, or of
// segments.
func (w *walk) lead(a *asking, from, to, id string) (lead, at string) {
	if w.whole {
		return "s", "''::bytea"
	}
	if w.query.Call != "" {
		a.need("c.day BETWEEN %s AND %s AND c.replica = %s", from, to, id)
		for _, bit := range callHashes(w.query.Call) {
			a.need("get_bit(c.filter, (%d & (octet_length(c.filter) * 8 - 1))::bigint) = 1", bit)
		}
		return "c", "''::bytea"
	}
	for i, set := range w.sets {
		if i == 0 {
			a.need("t.day BETWEEN %s AND %s AND t.replica = %s AND t.key = %s", from, to, id, keys(a, set))
			continue
		}
		a.need("(SELECT true FROM sluice_audit_term u WHERE u.day BETWEEN %s AND %s AND u.replica = %s AND u.first = t.first AND u.key = %s LIMIT 1)", from, to, id, keys(a, set))
	}
	switch len(w.sets) {
	case 0:
		return "s", "''::bytea"
	default:
		if len(w.sets[0]) > 1 { // a segment may have two of them
			return "t", "''::bytea"
		}
		return "t", "t.at"
	}
}

func keys(a *asking, set []int64) string {
	if len(set) == 1 {
		return a.arg(set[0])
	}
	return "ANY(" + a.arg(set) + "::bigint[])"
}

func scanCandidate(row pgx.CollectableRow) (c candidate, err error) {
	var at []byte
	err = row.Scan(&c.first, &c.n, &c.day, &c.ends, &at)
	c.at = segment.Places(at)
	return c, err
}

// take takes what was looked up. Where nothing is left in the days, the walk goes
// on behind them.
func (w *walk) take(all []candidate) {
	w.more = len(all) == page
	for _, c := range all {
		if n := len(w.todo); n == 0 || w.todo[n-1].first != c.first {
			w.todo = append(w.todo, c)
		}
	}
	if w.read = 1; w.query.Limit == 0 {
		w.read = atOnce
	}
	if len(w.todo) == 0 {
		w.past()
	}
}

// past moves on to where the days that are done end.
func (w *walk) past() {
	if w.more {
		return
	}
	if w.query.Oldest {
		w.next = max(w.next, w.spans[w.to].first)
	} else {
		w.next = min(w.next, w.spans[w.from].first)
	}
}
