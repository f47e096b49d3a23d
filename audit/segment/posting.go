package segment

import (
	"encoding/binary"
	"slices"

	"github.com/sluice-gateway/sluice/audit"
)

// Posting is where in a segment a term is.
type Posting struct {
	Key int64
	At  []byte // the places, each as what it is more than the one before
}

// Of makes the index rows of a segment, sorted by key, as the table is.
func Of(entries []audit.Entry) []Posting {
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
	var all []Posting
	buf := make([]byte, 0, 2*len(hits))
	for i := 0; i < len(hits); {
		start, before, key := len(buf), -1, hits[i].key
		for ; i < len(hits) && hits[i].key == key; i++ {
			if hits[i].at != before {
				buf = binary.AppendUvarint(buf, uint64(hits[i].at-max(before, 0)))
				before = hits[i].at
			}
		}
		all = append(all, Posting{key, buf[start:len(buf):len(buf)]})
	}
	return dense(all, len(entries))
}

// dense leaves out the places of terms that are nearly everywhere: they would take
// more room than they save in time.
func dense(all []Posting, n int) []Posting {
	for i := range all {
		if len(all[i].At) > n/4 {
			all[i].At = nil
		}
		if all[i].At == nil {
			all[i].At = []byte{}
		}
	}
	return all
}

// Places reads where a term is in a segment of n records; nil is anywhere.
func Places(at []byte) []int {
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
