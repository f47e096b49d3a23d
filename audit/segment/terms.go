package segment

import (
	"encoding/binary"
	"strconv"
	"strings"

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

// For are the terms that a record has to have, the rarest kinds first.
func For(q *audit.Query) (sets [][]int64) {
	text := func(d dimension, value string) {
		if value != "" {
			sets = append(sets, []int64{term(d, value)})
		}
	}
	text(ofSession, q.Session)
	text(ofApproval, q.Approval)
	text(ofObject, q.Object)
	for _, word := range q.Words {
		var set []int64
		for _, hash := range word {
			set = append(set, wordTerm(hash))
		}
		sets = append(sets, set)
	}
	if _, subject, ok := strings.Cut(q.Principal, "#"); ok {
		text(ofSubject, subject)
	} else {
		text(ofSubject, q.Principal)
	}
	text(ofApprover, q.Approver)
	text(ofGuard, q.Guard)
	text(ofEntity, q.Entity)
	if q.Verdict > audit.Allowed {
		sets = append(sets, []int64{numberTerm(ofVerdict, uint64(q.Verdict))})
	}
	if q.Status != nil && *q.Status != 0 {
		sets = append(sets, []int64{numberTerm(ofStatus, uint64(*q.Status))})
	}
	if set, ok := kindTerms(q.Kinds); ok {
		sets = append(sets, set)
	}
	text(ofVerb, q.Verb)
	text(ofModel, q.Model)
	text(ofRule, q.Rule)
	text(ofGroup, q.Group)
	return sets
}

func kindTerms(kinds []audit.Kind) (set []int64, ok bool) {
	for _, k := range kinds {
		if k <= audit.KindMessage {
			return nil, false // no terms
		}
		set = append(set, numberTerm(ofKind, uint64(k)))
	}
	return set, len(set) > 0
}
