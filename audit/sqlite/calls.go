package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"strings"

	"github.com/sluice-gateway/sluice/audit"
)

// spanRecords is how many records share one part of the indexes: those of the
// segments that begin among them. New rows go to the part of the newest span alone,
// a few megabytes that stay in memory, however long the log is; a search looks into
// the part of each span.
const spanRecords = 64 * SegmentSize

func spanOf(first int64) int64 { return first / spanRecords }

// A call's id is in one record or few: a row of the index for each would cost more
// than all others. So each span has lists of (place, some bits of the id's hash); the
// id says in which of them to look.
const (
	callParts = 64
	callSize  = 2 + 3 // bytes: the place in the span, which a segment may go beyond the end of, and 24 bits
)

func callHash(call string) (part int64, bits uint32) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(call))
	sum := h.Sum64()
	return int64(sum % callParts), uint32(sum>>16) & 0xffffff
}

// addCalls adds the ids of the calls of a segment to the lists of its span.
func (w *writing) addCalls(first int64, entries []audit.Entry) error {
	var lists [callParts][]byte
	span := spanOf(first)
	for i, e := range entries {
		if e.Record.Call == "" {
			continue
		}
		part, bits := callHash(e.Record.Call)
		b := binary.BigEndian.AppendUint16(lists[part], uint16(first-span*spanRecords+int64(i)))
		lists[part] = append(b, byte(bits>>16), byte(bits>>8), byte(bits))
	}
	args := make([]any, 0, 2*callParts)
	for part, list := range lists {
		if len(list) > 0 {
			args = append(args, span*callParts+int64(part), list)
		}
	}
	if len(args) == 0 {
		return nil
	}
	return w.exec("INSERT INTO calls (id, ids) VALUES (?, ?)"+strings.Repeat(", (?, ?)", len(args)/2-1)+
		" ON CONFLICT (id) DO UPDATE SET ids = CAST(ids || excluded.ids AS BLOB)", args...)
}

// callsIn looks up where in a span the call may be that is asked for.
func (s *search) callsIn(ctx context.Context, tx *sql.Tx, span, from, to int64) (all []candidate, err error) {
	part, bits := callHash(s.query.Call)
	var ids []byte
	err = tx.QueryRowContext(ctx, "SELECT ids FROM calls WHERE id = ?", span*callParts+part).Scan(&ids)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	for ; len(ids) >= callSize; ids = ids[callSize:] {
		if binary.BigEndian.Uint32(ids[1:])&0xffffff != bits {
			continue
		}
		place := span*spanRecords + int64(binary.BigEndian.Uint16(ids))
		var c candidate
		err := tx.QueryRowContext(ctx, "SELECT first, n FROM segment WHERE first <= ? ORDER BY first DESC LIMIT 1", place).Scan(&c.first, &c.n)
		if errors.Is(err, sql.ErrNoRows) || err == nil && (place >= c.first+c.n || c.first < from || c.first > to) {
			continue // pruned, or done
		}
		if err != nil {
			return nil, err
		}
		if at := int(place - c.first); len(all) > 0 && all[len(all)-1].first == c.first {
			all[len(all)-1].at = append(all[len(all)-1].at, at)
		} else {
			c.at = []int{at}
			all = append(all, c)
		}
	}
	return all, err
}

// bounds of times in microseconds that no record is outside of. A segment that could
// not be read when it was made is from never on.
const (
	never  = math.MinInt64 / 4
	always = math.MaxInt64 / 4
)
