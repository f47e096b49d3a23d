package sqlite

import (
	"errors"
	"strings"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
)

// seal writes entries as a segment.
func (w *writing) seal(entries []audit.Entry) error {
	first := int64(entries[0].Record.Seq)
	low, top := entries[0].Record.Time.UnixMicro(), int64(0)
	for i, e := range entries {
		at := e.Record.Time.UnixMicro()
		low = min(low, at)
		if top = max(top, at); i == 0 {
			top = at
		}
	}
	w.back = max(w.back, w.high-low)
	w.high = max(w.high, top)
	leaves, body := segment.Pack(entries)
	for _, row := range []struct {
		query string
		args  []any
	}{
		{"INSERT INTO segment (first, n, low, top, high) VALUES (?, ?, ?, ?, ?)", []any{first, len(entries), low, top, w.high}},
		{"INSERT INTO leaf (first, n, leaves) VALUES (?, ?, ?)", []any{first, len(entries), leaves}},
		{"INSERT INTO block (first, body) VALUES (?, ?)", []any{first, w.compress.EncodeAll(body, nil)}},
		{"UPDATE state SET back = ?", []any{w.back}},
	} {
		if err := w.exec(row.query, row.args...); err != nil {
			return err
		}
	}
	if err := w.addCalls(first, entries); err != nil {
		return err
	}
	for i := range entries {
		if err := w.addWords(&entries[i]); err != nil {
			return err
		}
	}
	return w.index(first, segment.Of(entries))
}

// termsAtOnce is how many rows of the index one statement writes: a statement costs
// as much as several rows, and a payload has hundreds of words.
const termsAtOnce = 128

// index writes the index rows of the segment that begins at first.
func (w *writing) index(first int64, terms []segment.Posting) error {
	const insert, row = "INSERT INTO term (span, key, first, at) VALUES ", "(?, ?, ?, ?)"
	args := make([]any, 0, 4*termsAtOnce)
	for _, size := range []int{termsAtOnce, 1} {
		if len(terms) < size {
			continue
		}
		statement, err := w.tx.PrepareContext(w.ctx, insert+strings.Repeat(row+", ", size-1)+row)
		if err != nil {
			return err
		}
		for err == nil && len(terms) >= size {
			args = args[:0]
			for _, t := range terms[:size] {
				args = append(args, spanOf(first), t.Key, first, t.At)
			}
			terms = terms[size:]
			_, err = statement.ExecContext(w.ctx, args...)
		}
		if err = errors.Join(err, statement.Close()); err != nil {
			return err
		}
	}
	return nil
}
