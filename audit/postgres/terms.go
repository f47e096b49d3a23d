package postgres

import (
	"hash/fnv"
	"math"
	"time"

	"github.com/sluice-gateway/sluice/audit"
)

// A call's id is in one record or few: a row of the index for each would cost more
// than all others. So a segment has a Bloom filter of them, which the database
// looks through for who searches for a call.
const (
	filterBits   = 16 // for each id: 1 in 2,000 is looked for in vain
	filterHashes = 11
)

func newFilter(entries []audit.Entry) []byte {
	size := uint32(64)
	for size < uint32(len(entries)*filterBits) {
		size *= 2
	}
	filter := make([]byte, size/8)
	for _, e := range entries {
		for _, hash := range callHashes(e.Record.Call) {
			bit := uint32(hash) & (size - 1)
			filter[bit/8] |= 1 << (bit % 8)
		}
	}
	return filter
}

// callHashes are the bits of a call's id, before they are cut to a filter's size.
func callHashes(call string) (bits [filterHashes]int32) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(call))
	sum := h.Sum64()
	a, b := uint32(sum), uint32(sum>>32)|1
	for i := range bits {
		bits[i] = int32((a + uint32(i)*b) & math.MaxInt32)
	}
	return bits
}

// bounds of times in microseconds that no record is outside of.
const (
	never  = math.MinInt64 / 4
	always = math.MaxInt64 / 4
)

func micro(t time.Time, zero int64) int64 {
	if t.IsZero() {
		return zero
	}
	return t.UnixMicro()
}
