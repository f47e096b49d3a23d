package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/sluice-gateway/sluice/audit"
)

const hashSize = 32

var errBlock = errors.New("what is kept of them is damaged")

// pack puts the hashes, and the encodings with their lengths, one after the other.
func pack(entries []audit.Entry) (leaves, body []byte) {
	n := 0
	for _, e := range entries {
		n += len(e.Bytes) + binary.MaxVarintLen32
	}
	leaves, body = make([]byte, 0, len(entries)*hashSize), make([]byte, 0, n)
	for _, e := range entries {
		leaves = append(leaves, e.Leaf[:]...)
		body = binary.AppendUvarint(body, uint64(len(e.Bytes)))
		body = append(body, e.Bytes...)
	}
	return leaves, body
}

// unpack is the inverse of pack. With places, it gives copies of those entries
// alone. The bytes are not compared with their hashes: that is for a verification,
// which wants to see both.
func unpack(first int64, body, leaves []byte, n int, at []int) ([]audit.Entry, error) {
	if len(leaves) != n*hashSize {
		return nil, errBlock
	}
	entries := make([]audit.Entry, 0, many(n, at))
	for i := range n {
		size, k := binary.Uvarint(body)
		if k <= 0 || size > uint64(len(body)-k) {
			return nil, errBlock
		}
		b := body[k : k+int(size) : k+int(size)]
		body = body[k+int(size):]
		if !wanted(at, i) {
			continue
		}
		if at != nil {
			b = bytes.Clone(b)
		}
		r, err := audit.Decode(b)
		if err != nil {
			return nil, err
		}
		entries = append(entries, audit.Entry{Record: r, Bytes: b, Leaf: [hashSize]byte(leaves[i*hashSize:]), Place: uint64(first) + uint64(i)})
	}
	if len(body) != 0 {
		return nil, errBlock
	}
	return entries, nil
}

func many(n int, at []int) int {
	if at == nil {
		return n
	}
	return len(at)
}

func wanted(at []int, i int) bool {
	if at == nil {
		return true
	}
	_, found := slices.BinarySearch(at, i)
	return found
}

func packWords(words []uint64) []byte {
	packed := make([]byte, 0, 8*len(words))
	for _, w := range words {
		packed = binary.BigEndian.AppendUint64(packed, w)
	}
	return packed
}

func unpackWords(packed []byte) []uint64 {
	if len(packed) < 8 {
		return nil
	}
	words := make([]uint64, len(packed)/8)
	for i := range words {
		words[i] = binary.BigEndian.Uint64(packed[8*i:])
	}
	return words
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
