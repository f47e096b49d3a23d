package postgres

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
)

// readHead reads rows of the head. Those that are damaged are left out, and told of.
func readHead(rows pgx.Rows, name string) (entries []audit.Entry, damaged []*audit.DamagedError, err error) {
	defer rows.Close()
	for rows.Next() {
		var first, n int64
		var leaves, body []byte
		if err := rows.Scan(&first, &n, &leaves, &body); err != nil {
			return nil, nil, err
		}
		batch, err := segment.Unpack(first, body, leaves, int(n), nil)
		if err != nil {
			damaged = append(damaged, damage(name, first, n, err))
			continue
		}
		entries = append(entries, batch...)
	}
	return entries, damaged, rows.Err()
}

// haveWords are those whose payload has one hash of each of the query's words.
func (w *walk) haveWords(ctx context.Context, all []audit.Found, from, to any) (found []audit.Found, err error) {
	if len(w.query.Words) == 0 {
		return all, nil
	}
	var ids []string
	for _, f := range all {
		if f.Record.Payload != nil {
			ids = append(ids, f.Record.Payload.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := w.pool.Query(ctx, "SELECT id, words FROM sluice_audit_payload WHERE day BETWEEN $1 AND $2 AND id = ANY($3)", from, to, ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	have := make(map[string][]uint64)
	for rows.Next() {
		var id string
		var packed []byte
		if err := rows.Scan(&id, &packed); err != nil {
			return nil, err
		}
		have[id] = segment.UnpackWords(packed)
	}
	for _, f := range all {
		if f.Record.Payload != nil && hasAll(have[f.Record.Payload.ID], w.query.Words) {
			found = append(found, f)
		}
	}
	return found, rows.Err()
}

func hasAll(have []uint64, words [][]uint64) bool {
	for _, word := range words {
		if !slices.ContainsFunc(word, func(hash uint64) bool { return slices.Contains(have, hash) }) {
			return false
		}
	}
	return true
}

// Get is [audit.Log]'s.
func (l *Log) Get(ctx context.Context, replica string, seq uint64) (audit.Entry, error) {
	states, err := l.replicas(ctx, replica)
	if err != nil {
		return audit.Entry{}, err
	}
	if replica == "" || len(states) == 0 || seq >= uint64(states[0].size) || seq < uint64(states[0].first) {
		return audit.Entry{}, audit.ErrNotFound
	}
	q := audit.Query{Replica: replica, Oldest: true, Limit: 1}
	q.After = cursorOf(oldestFirst, []*walk{{replica: states[0], given: int64(seq)}})
	for found, err := range l.Search(ctx, q) {
		if err != nil {
			return audit.Entry{}, err
		}
		if found.Place == seq {
			return found.Entry, nil
		}
		break
	}
	return audit.Entry{}, audit.ErrNotFound
}

// States is [audit.Tree]'s.
func (l *Log) States(ctx context.Context) ([]audit.State, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	rows, err := l.pool.Query(ctx, `SELECT r.name, r.size, r.first, coalesce(c.size, 0), coalesce(c.root, ''::bytea), coalesce(c.time, 0), coalesce(c.note, ''::bytea)
		FROM sluice_audit_replica r LEFT JOIN LATERAL (SELECT * FROM sluice_audit_checkpoint c WHERE c.replica = r.id ORDER BY c.size DESC LIMIT 1) c ON true
		WHERE r.size > 0 ORDER BY r.name`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s audit.State, err error) {
		var root []byte
		var at int64
		c := audit.Checkpoint{}
		if err := row.Scan(&s.Replica, &s.Size, &s.First, &c.Size, &root, &at, &c.Note); err != nil || c.Size == 0 {
			return s, err
		}
		copy(c.Root[:], root)
		c.Replica, c.Time = s.Replica, time.UnixMicro(at).UTC()
		s.Last = c
		return s, nil
	})
}

const checkpointPage = 500

// Checkpoints is [audit.Tree]'s.
func (l *Log) Checkpoints(ctx context.Context, replica string, size uint64) iter.Seq2[audit.Checkpoint, error] {
	return audit.CheckpointPages(size, func(size uint64) ([]audit.Checkpoint, error) { return l.checkpoints(ctx, replica, size) })
}

func (l *Log) checkpoints(ctx context.Context, replica string, size uint64) ([]audit.Checkpoint, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	rows, err := l.pool.Query(ctx, `SELECT c.size, c.root, c.time, c.note FROM sluice_audit_checkpoint c JOIN sluice_audit_replica r ON r.id = c.replica
		WHERE r.name = $1 AND c.size >= $2 ORDER BY c.size LIMIT $3`, replica, int64(min(size, 1<<62)), checkpointPage)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (audit.Checkpoint, error) {
		c := audit.Checkpoint{Replica: replica}
		var root []byte
		var at int64
		err := row.Scan(&c.Size, &root, &at, &c.Note)
		copy(c.Root[:], root)
		c.Time = time.UnixMicro(at).UTC()
		return c, err
	})
}

// Leaves is [audit.Tree]'s. What is missing in the middle ends it.
func (l *Log) Leaves(ctx context.Context, replica string, from uint64) iter.Seq2[[][hashSize]byte, error] {
	id := int32(-1) // before the first page: of no replica
	return audit.LeafPages(from, func(from uint64) ([][hashSize]byte, error) {
		if id < 0 {
			states, err := l.replicas(ctx, replica)
			if err != nil || replica == "" || len(states) == 0 {
				return nil, err
			}
			id = states[0].id
		}
		ctx, cancel := bound(ctx)
		defer cancel()
		return leavesFrom(ctx, l.pool, id, from)
	})
}

// leafPage is how many segments' hashes are read at once.
const leafPage = 32

// rower is a pool or a connection.
type rower interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// leavesFrom reads hashes from a record on, of some segments or of the head.
func leavesFrom(ctx context.Context, db rower, id int32, from uint64) (leaves [][hashSize]byte, err error) {
	rows, err := db.Query(ctx, `SELECT first, leaves FROM (
		(SELECT first, leaves FROM sluice_audit_leaf WHERE replica = $1 AND first > $2::bigint - $3::bigint ORDER BY first LIMIT $4)
		UNION ALL (SELECT first, leaves FROM sluice_audit_head WHERE replica = $1 AND first > $2::bigint - $3::bigint ORDER BY first)) a ORDER BY first`,
		id, int64(min(from, 1<<62)), maxSegment+2, leafPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	next := from
	for rows.Next() {
		var first uint64
		var packed []byte
		if err := rows.Scan(&first, &packed); err != nil {
			return nil, err
		}
		n := uint64(len(packed) / hashSize)
		if first > next || first+n <= next {
			continue // before it, or behind a page's end
		}
		for ; next < first+n; next++ {
			leaves = append(leaves, [hashSize]byte(packed[(next-first)*hashSize:]))
		}
	}
	return leaves, rows.Err()
}

// Stats is [audit.Counter]'s.
func (l *Log) Stats(ctx context.Context) (s audit.Stats, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	err = l.pool.QueryRow(ctx, `SELECT coalesce((SELECT sum(size - first) FROM sluice_audit_replica), 0)::bigint, (SELECT count(*) FROM sluice_audit_payload),
		(SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'sluice\_audit\_%')::bigint`).
		Scan(&s.Records, &s.Payloads, &s.Bytes)
	if err != nil {
		return s, err
	}
	return s, s.SetTimes(ctx, l)
}
