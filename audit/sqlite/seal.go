package sqlite

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/audit"
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
	leaves, body := pack(entries)
	for _, row := range []struct {
		query string
		args  []any
	}{
		{"INSERT INTO segment (first, n, low, top, high) VALUES (?, ?, ?, ?, ?)", []any{first, len(entries), low, top, w.high}},
		{"INSERT INTO leaf (first, n, leaves) VALUES (?, ?, ?)", []any{first, len(entries), leaves}},
		{"INSERT INTO block (first, body) VALUES (?, ?)", []any{first, w.compress.EncodeAll(body, nil)}},
		{"INSERT INTO calls (first, filter) VALUES (?, ?)", []any{first, newFilter(entries)}},
		{"UPDATE state SET back = ?", []any{w.back}},
	} {
		if err := w.exec(row.query, row.args...); err != nil {
			return err
		}
	}
	for i := range entries {
		if err := w.addWords(&entries[i]); err != nil {
			return err
		}
	}
	return w.index(first, termsOf(entries))
}

// termsAtOnce is how many rows of the index one statement writes: a statement costs
// as much as several rows, and a payload has hundreds of words.
const termsAtOnce = 128

// index writes the index rows of the segment that begins at first.
func (w *writing) index(first int64, terms []posting) error {
	const insert, row = "INSERT INTO term (key, first, at) VALUES ", "(?, ?, ?)"
	args := make([]any, 0, 3*termsAtOnce)
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
				args = append(args, t.key, first, t.at)
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

// posting is where in a segment a term is.
type posting struct {
	key int64
	at  []byte // the places, each as what it is more than the one before
}

// termsOf makes the index rows of a segment, sorted by key, as the table is.
func termsOf(entries []audit.Entry) []posting {
	type hit struct {
		key int64
		at  int
	}
	hits := make([]hit, 0, 16*len(entries))
	for i, e := range entries {
		eachTerm(e.Record, func(key int64) { hits = append(hits, hit{key, i}) })
		if e.Payload != nil {
			for _, word := range e.Payload.Words {
				hits = append(hits, hit{wordTerm(word), i})
			}
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		default:
			return a.at - b.at
		}
	})
	var all []posting
	buf := make([]byte, 0, 2*len(hits))
	for i := 0; i < len(hits); {
		start, before, key := len(buf), -1, hits[i].key
		for ; i < len(hits) && hits[i].key == key; i++ {
			if hits[i].at != before {
				buf = binary.AppendUvarint(buf, uint64(hits[i].at-max(before, 0)))
				before = hits[i].at
			}
		}
		all = append(all, posting{key, buf[start:len(buf):len(buf)]})
	}
	return dense(all, len(entries))
}

// dense leaves out the places of terms that are nearly everywhere: they would take
// more room than they save in time.
func dense(all []posting, n int) []posting {
	for i := range all {
		if len(all[i].at) > n/4 {
			all[i].at = nil
		}
		if all[i].at == nil {
			all[i].at = []byte{}
		}
	}
	return all
}

// places reads where a term is in a segment of n records; nil is anywhere.
func places(at []byte) []int {
	if len(at) == 0 {
		return nil
	}
	var all []int
	place := 0
	for len(at) > 0 {
		d, n := binary.Uvarint(at)
		if n <= 0 {
			return nil
		}
		place += int(d)
		all, at = append(all, place), at[n:]
	}
	return all
}
