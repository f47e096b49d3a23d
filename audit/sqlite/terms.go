package sqlite

import (
	"hash/fnv"
	"math"

	"github.com/sluice-gateway/sluice/audit"
)

// A call's id is in one record or few: a row of the index for each would cost more
// than all others. So a segment has a Bloom filter of them, of which a search for
// a call reads every segment's.
const (
	filterBytes  = SegmentSize * 2 // 16 bits for each id: 1 in 2,000 is looked for in vain
	filterHashes = 11
)

func newFilter(entries []audit.Entry) []byte {
	filter := make([]byte, filterBytes)
	for _, e := range entries {
		eachBit(e.Record.Call, func(bit uint32) bool {
			filter[bit/8] |= 1 << (bit % 8)
			return true
		})
	}
	return filter
}

func mayHold(filter []byte, call string) bool {
	if len(filter) != filterBytes {
		return true
	}
	all := true
	eachBit(call, func(bit uint32) bool {
		all = filter[bit/8]&(1<<(bit%8)) != 0
		return all
	})
	return all
}

func eachBit(call string, visit func(bit uint32) bool) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(call))
	sum := h.Sum64()
	a, b := uint32(sum), uint32(sum>>32)|1
	for i := range uint32(filterHashes) {
		if !visit((a + i*b) % (filterBytes * 8)) {
			return
		}
	}
}

// bounds of times in microseconds that no record is outside of.
const (
	never  = math.MinInt64 / 4
	always = math.MaxInt64 / 4
)
