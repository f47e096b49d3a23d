package sqlite

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"strconv"

	"github.com/sluice-gateway/sluice/audit"
)

// dimension says what a term is the value of. The numbers are in files.
type dimension byte

const (
	ofSubject dimension = iota + 1
	ofGroup
	ofModel
	ofVerb
	ofVerdict
	ofRule
	ofGuard
	ofSession
	ofApproval
	ofApprover
	ofEntity
	ofStatus
	ofObject
	ofKind
	ofWord
)

// term is the key of a value in the index: a hash of it. Two values with the same
// one cost a look into a segment in vain, no more: what is found is compared.
func term(d dimension, value string) int64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := (uint64(offset) ^ uint64(d)) * prime
	for i := range len(value) {
		h = (h ^ uint64(value[i])) * prime
	}
	return int64(h)
}

func wordTerm(hash uint64) int64 {
	return term(ofWord, string(binary.LittleEndian.AppendUint64(nil, hash)))
}

func numberTerm(d dimension, n uint64) int64 { return term(d, strconv.FormatUint(n, 10)) }

// eachTerm gives the terms of a record. Those that nearly every record has (a call
// that was allowed, and ended well) are no terms: what is asked for by them alone
// is found by looking at every record, and mostly at once.
func eachTerm(r *audit.Record, yield func(int64)) {
	text := func(d dimension, value string) {
		if value != "" {
			yield(term(d, value))
		}
	}
	text(ofSubject, r.Subject)
	for _, g := range r.Groups {
		text(ofGroup, g)
	}
	text(ofModel, r.Model)
	text(ofVerb, r.Verb)
	text(ofRule, r.Rule)
	text(ofGuard, r.Guard)
	text(ofSession, r.Session)
	text(ofObject, r.Object)
	if a := r.Approval; a != nil {
		text(ofApproval, a.Request)
		text(ofApproval, a.Grant)
		for _, who := range a.Approvers {
			text(ofApprover, who)
		}
	}
	for entity := range r.Masked {
		text(ofEntity, entity)
	}
	for entity := range r.Observed {
		text(ofEntity, entity)
	}
	if r.Verdict > audit.Allowed {
		yield(numberTerm(ofVerdict, uint64(r.Verdict)))
	}
	if r.Status != 0 {
		yield(numberTerm(ofStatus, uint64(r.Status)))
	}
	if r.Kind > audit.KindMessage {
		yield(numberTerm(ofKind, uint64(r.Kind)))
	}
}

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
