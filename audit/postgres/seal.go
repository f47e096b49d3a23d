package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
)

// sealing is one that is about to be written.
type sealing struct {
	day                   time.Time
	first, low, top, high int64
	entries               []audit.Entry
}

// seal makes a segment of entries, which follow the one before.
func (t *transaction) seal(day time.Time, entries []audit.Entry) {
	s := sealing{day: day, first: int64(entries[0].Place), entries: entries}
	s.low = entries[0].Record.Time.UnixMicro()
	s.top = s.low
	for i := range entries {
		at := entries[i].Record.Time.UnixMicro()
		s.low, s.top = min(s.low, at), max(s.top, at)
	}
	t.back = max(t.back, t.high-s.low)
	t.high = max(t.high, s.top)
	s.high = t.high
	t.sealed = uint64(s.first) + uint64(len(entries))
	t.seals = append(t.seals, s)
}

// table is one that is copied to.
type table struct {
	name    string
	columns []string
	rows    [][]any
}

// copies writes what there is much of.
func (t *transaction) copies(ctx context.Context) error {
	segments := table{name: "sluice_audit_segment", columns: []string{"first", "low", "top", "high", "day", "replica", "n", "ends", "body"}}
	terms := table{name: "sluice_audit_term", columns: []string{"key", "first", "day", "replica", "at"}}
	calls := table{name: "sluice_audit_call", columns: []string{"first", "day", "replica", "filter"}}
	leaves := table{name: "sluice_audit_leaf", columns: []string{"replica", "first", "n", "leaves"}}
	payloads := table{name: "sluice_audit_payload", columns: []string{"seq", "day", "replica", "id", "key", "words", "body"}}
	for _, s := range t.seals {
		hashes, body, ends := t.w.squeeze(s.entries)
		segments.rows = append(segments.rows, []any{s.first, s.low, s.top, s.high, s.day, t.id, int32(len(s.entries)), ends, body})
		calls.rows = append(calls.rows, []any{s.first, s.day, t.id, newFilter(s.entries)})
		leaves.rows = append(leaves.rows, []any{t.id, s.first, int32(len(s.entries)), hashes})
		for _, p := range segment.Of(s.entries) {
			terms.rows = append(terms.rows, []any{p.Key, s.first, s.day, t.id, p.At})
		}
	}
	for _, e := range t.fresh {
		if p := e.Payload; p != nil {
			payloads.rows = append(payloads.rows, []any{int64(e.Record.Seq), t.day, t.id, p.ID, p.Key, segment.PackWords(p.Words), append([]byte{}, p.Body...)})
		}
	}
	for _, to := range []table{segments, terms, calls, payloads, leaves} {
		if len(to.rows) == 0 {
			continue
		}
		if _, err := t.tx.CopyFrom(ctx, pgx.Identifier{to.name}, to.columns, pgx.CopyFromRows(to.rows)); err != nil {
			return err
		}
	}
	return nil
}

// blockSize is how many records of a segment are compressed together: what is read
// of it for one of them.
const blockSize = 128

// squeeze packs entries, the encodings in compressed blocks that end where ends says.
func (l *Log) squeeze(entries []audit.Entry) (hashes, body []byte, ends []int32) {
	for part := range slices.Chunk(entries, blockSize) {
		leaves, block := segment.Pack(part)
		hashes = append(hashes, leaves...)
		body = l.compress.EncodeAll(block, body)
		ends = append(ends, int32(len(body)))
	}
	return hashes, body, ends
}
