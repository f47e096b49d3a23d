package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/sluice-gateway/sluice/audit"
)

const hashSize = 32

// ErrDamaged is the error of what is not what [Pack] has made.
var ErrDamaged = errors.New("what is kept of them is damaged")

// Pack puts the hashes, and the encodings with their lengths, one after the other.
func Pack(entries []audit.Entry) (leaves, body []byte) {
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

// Unpack is the inverse of [Pack], for records from first on. With places, it gives copies of those entries
// alone. The bytes are not compared with their hashes: that is for a verification,
// which wants to see both.
func Unpack(first int64, body, leaves []byte, n int, at []int) ([]audit.Entry, error) {
	if len(leaves) != n*hashSize {
		return nil, ErrDamaged
	}
	entries := make([]audit.Entry, 0, many(n, at))
	for i := range n {
		size, k := binary.Uvarint(body)
		if k <= 0 || size > uint64(len(body)-k) {
			return nil, ErrDamaged
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
		return nil, ErrDamaged
	}
	return entries, nil
}

// Containing finds the places of the records in whose encoding a text stands: those that
// have a value that is written as it is, and maybe a few more. Nil is anywhere: the
// block is damaged.
func Containing(body []byte, n int, text string) []int {
	at := []int{}
	for i := range n {
		size, k := binary.Uvarint(body)
		if k <= 0 || size > uint64(len(body)-k) {
			return nil
		}
		if bytes.Contains(body[k:k+int(size)], []byte(text)) {
			at = append(at, i)
		}
		body = body[k+int(size):]
	}
	return at
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

// PackWords puts the hashes of words one after the other, and [UnpackWords] is its
// inverse.
func PackWords(words []uint64) []byte {
	packed := make([]byte, 0, 8*len(words))
	for _, w := range words {
		packed = binary.BigEndian.AppendUint64(packed, w)
	}
	return packed
}

// UnpackWords reads hashes; what is left over of a damaged list is passed over.
func UnpackWords(packed []byte) []uint64 {
	if len(packed) < 8 {
		return nil
	}
	words := make([]uint64, len(packed)/8)
	for i := range words {
		words[i] = binary.BigEndian.Uint64(packed[8*i:])
	}
	return words
}
