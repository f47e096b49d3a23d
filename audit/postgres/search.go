package postgres

import (
	"context"
	"errors"
	"iter"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
)

// Search is [audit.Log]'s. Each replica's log is searched in its own order; between
// them the time decides. It reads in short statements: nobody waits for who reads
// slowly.
func (l *Log) Search(ctx context.Context, q audit.Query) iter.Seq2[audit.Found, error] {
	return func(yield func(audit.Found, error) bool) {
		m, err := l.merge(ctx, q)
		if err != nil {
			yield(audit.Found{}, err)
			return
		}
		for given := 0; ; {
			found, err, ok := m.next(ctx)
			if !ok {
				return
			}
			damaged := (*audit.DamagedError)(nil)
			if !yield(found, err) || err != nil && !errors.As(err, &damaged) {
				return
			}
			if err != nil {
				continue
			}
			if given++; given == q.Limit {
				return
			}
		}
	}
}

// merge is a search over the logs of several replicas.
type merge struct {
	oldest bool
	walks  []*walk
}

func (l *Log) merge(ctx context.Context, q audit.Query) (*merge, error) {
	m := &merge{oldest: q.Oldest}
	var after map[int32]int64
	if q.After != "" {
		var err error
		if after, err = readCursor(m.direction(), q.After); err != nil {
			return nil, err
		}
	}
	states, err := l.replicas(ctx, q.Replica)
	if err != nil {
		return nil, err
	}
	sets := segment.For(&q)
	for _, s := range states {
		w := &walk{Log: l, query: &q, sets: sets, replica: s, next: s.size, width: 1}
		if q.Oldest {
			w.next = 0
		}
		if after != nil {
			at, there := after[s.id]
			if !there && !q.Oldest {
				continue // all of it was given, or it has come since
			}
			w.next = at
		}
		if w.given = w.next; q.Oldest {
			w.next = max(w.next, s.first)
		}
		m.walks = append(m.walks, w)
	}
	return m, nil
}

func (m *merge) direction() byte {
	if m.oldest {
		return oldestFirst
	}
	return newestFirst
}

// next gives what comes next: the walk whose next record is first by its time.
func (m *merge) next(ctx context.Context) (audit.Found, error, bool) {
	var best *walk
	bound := int64(math.MinInt64)
	for {
		best, bound = nil, math.MinInt64
		for _, w := range m.walks {
			if at, ok := w.bound(); ok && (best == nil || at > bound) {
				best, bound = w, at
			}
		}
		if best == nil {
			return audit.Found{}, nil, false
		}
		if len(best.items) > 0 {
			break
		}
		best.step(ctx)
	}
	i := best.items[0]
	best.items = best.items[1:]
	if i.err != nil {
		return audit.Found{}, i.err, true
	}
	if best.given = int64(i.found.Place); m.oldest {
		best.given++
	}
	i.found.Cursor = cursorOf(m.direction(), m.walks)
	return i.found, nil, true
}

// bound is how soon a walk may have something: the time of its next record, the
// sooner the larger. A walk that has to look first is asked first.
func (w *walk) bound() (at int64, ok bool) {
	switch {
	case len(w.items) > 0 && w.items[0].err != nil:
		return math.MaxInt64, true
	case len(w.items) > 0:
		at = w.items[0].found.Record.Time.UnixMicro()
		if w.query.Oldest {
			at = -at
		}
		return at, true
	case w.ended:
		return 0, false
	case !w.begun && !w.query.Oldest && w.size == w.sealed:
		return w.high, true // nothing in it is later
	default:
		return math.MaxInt64, true
	}
}

// replica is a log as the database has it.
type replica struct {
	id                              int32
	name                            string
	size, sealed, first, high, back int64
}

// replicas reads those of one name, or of all.
func (l *Log) replicas(ctx context.Context, name string) ([]replica, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	rows, err := l.pool.Query(ctx, "SELECT id, name, size, sealed, first, high, back FROM sluice_audit_replica WHERE $1 = '' OR name = $1 ORDER BY name", name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r replica, err error) {
		err = row.Scan(&r.id, &r.name, &r.size, &r.sealed, &r.first, &r.high, &r.back)
		return r, err
	})
}
