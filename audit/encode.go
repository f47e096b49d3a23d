package audit

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of a record's encoding, which is a protobuf message. A number never
// changes its meaning; docs/AUDIT.md has the message's definition.
const (
	fieldReplica = iota + 1
	fieldSeq
	fieldKind
	fieldTime
	fieldDuration
	fieldSubject
	fieldIssuer
	fieldName
	fieldUserKind
	fieldGroups
	fieldMeans
	fieldPeer
	fieldDoor
	fieldRPC
	fieldSession
	fieldCall
	fieldRequest
	fieldVerb
	fieldModel
	fieldAskedVersion
	fieldVersion
	fieldVerdict
	fieldRule
	fieldGuard
	fieldWouldHave
	fieldApproval
	fieldBackend
	fieldServer
	fieldStatus
	fieldReason
	fieldCause
	fieldBytesIn
	fieldBytesOut
	fieldInputs
	fieldOutputs
	fieldCut
	fieldAnswers
	fieldTokensIn
	fieldTokensOut
	fieldMasked
	fieldObserved
	fieldTiming
	fieldOverhead
	fieldPayload
	fieldObject
	fieldDetail
	fieldCount
)

// encoder appends fields that are not empty.
type encoder []byte

func (e *encoder) text(num protowire.Number, s string) {
	if s != "" {
		*e = protowire.AppendString(protowire.AppendTag(*e, num, protowire.BytesType), s)
	}
}

func (e *encoder) texts(num protowire.Number, all []string) {
	for _, s := range all {
		*e = protowire.AppendString(protowire.AppendTag(*e, num, protowire.BytesType), s)
	}
}

func (e *encoder) number(num protowire.Number, n uint64) {
	if n != 0 {
		*e = protowire.AppendVarint(protowire.AppendTag(*e, num, protowire.VarintType), n)
	}
}

func (e *encoder) flag(num protowire.Number, set bool) {
	if set {
		e.number(num, 1)
	}
}

func (e *encoder) micros(num protowire.Number, d time.Duration) {
	e.number(num, uint64(d.Microseconds()))
}

// within appends a message that write appends the fields of.
func (e *encoder) within(num protowire.Number, write func(*encoder)) {
	*e = protowire.AppendTag(*e, num, protowire.BytesType)
	start := len(*e)
	*e = append(*e, 0) // most are shorter than 128 bytes: their length is one byte
	write(e)
	n := len(*e) - start - 1
	if n < 1<<7 {
		(*e)[start] = byte(n)
		return
	}
	extra := protowire.SizeVarint(uint64(n)) - 1
	*e = append(*e, make([]byte, extra)...)
	copy((*e)[start+1+extra:], (*e)[start+1:len(*e)-extra])
	protowire.AppendVarint((*e)[:start], uint64(n))
}

// Append appends the record's encoding to dst: always the same bytes for the same
// record, with its fields in the order of their numbers.
func (r *Record) Append(dst []byte) []byte {
	e := encoder(dst)
	e.text(fieldReplica, r.Replica)
	e.number(fieldSeq, r.Seq)
	e.number(fieldKind, uint64(r.Kind))
	if !r.Time.IsZero() {
		e.number(fieldTime, uint64(r.Time.UnixMicro()))
	}
	e.micros(fieldDuration, r.Duration)
	e.who(r)
	e.what(r)
	e.why(r)
	e.sizes(r)
	if r.Payload != nil {
		e.within(fieldPayload, func(e *encoder) {
			e.text(1, r.Payload.ID)
			*e = protowire.AppendBytes(protowire.AppendTag(*e, 2, protowire.BytesType), r.Payload.Digest[:])
			e.flag(3, r.Payload.Complete)
		})
	}
	e.text(fieldObject, r.Object)
	e.text(fieldDetail, r.Detail)
	e.number(fieldCount, r.Count)
	return e
}

func (e *encoder) who(r *Record) {
	e.text(fieldSubject, r.Subject)
	e.text(fieldIssuer, r.Issuer)
	e.text(fieldName, r.Name)
	e.text(fieldUserKind, r.UserKind)
	e.texts(fieldGroups, r.Groups)
	e.texts(fieldMeans, r.Means)
	if r.Peer.Is4() {
		a := r.Peer.As4()
		*e = protowire.AppendBytes(protowire.AppendTag(*e, fieldPeer, protowire.BytesType), a[:])
	} else if r.Peer.IsValid() {
		a := r.Peer.As16()
		*e = protowire.AppendBytes(protowire.AppendTag(*e, fieldPeer, protowire.BytesType), a[:])
	}
}

func (e *encoder) what(r *Record) {
	e.text(fieldDoor, r.Door)
	e.text(fieldRPC, r.RPC)
	e.text(fieldSession, r.Session)
	e.text(fieldCall, r.Call)
	e.text(fieldRequest, r.Request)
	e.text(fieldVerb, r.Verb)
	e.text(fieldModel, r.Model)
	e.text(fieldAskedVersion, r.AskedVersion)
	e.text(fieldVersion, r.Version)
	e.number(fieldVerdict, uint64(r.Verdict))
}

func (e *encoder) why(r *Record) {
	e.text(fieldRule, r.Rule)
	e.text(fieldGuard, r.Guard)
	e.texts(fieldWouldHave, r.WouldHave)
	if a := r.Approval; a != nil {
		e.within(fieldApproval, func(e *encoder) {
			e.text(1, a.Request)
			e.text(2, a.Grant)
			e.texts(3, a.Approvers)
			e.flag(4, a.BreakGlass)
			e.micros(5, a.Waited)
		})
	}
	e.text(fieldBackend, r.Backend)
	e.text(fieldServer, r.Server)
	e.number(fieldStatus, uint64(r.Status))
	e.text(fieldReason, r.Reason)
	e.text(fieldCause, r.Cause)
}

func (e *encoder) sizes(r *Record) {
	e.number(fieldBytesIn, uint64(r.BytesIn))
	e.number(fieldBytesOut, uint64(r.BytesOut))
	e.tensors(fieldInputs, r.Inputs)
	e.tensors(fieldOutputs, r.Outputs)
	e.flag(fieldCut, r.Cut)
	e.number(fieldAnswers, uint64(r.Answers))
	e.number(fieldTokensIn, uint64(r.TokensIn))
	e.number(fieldTokensOut, uint64(r.TokensOut))
	e.counts(fieldMasked, r.Masked)
	e.counts(fieldObserved, r.Observed)
	if len(r.Timing) > 0 {
		e.within(fieldTiming, func(e *encoder) { e.packed(r.Timing) })
	}
	e.micros(fieldOverhead, r.Overhead)
}

func (e *encoder) packed(all []int64) {
	for _, n := range all {
		*e = protowire.AppendVarint(*e, uint64(n))
	}
}

func (e *encoder) tensors(num protowire.Number, all []Tensor) {
	for i := range all {
		t := &all[i]
		e.within(num, func(e *encoder) {
			e.text(1, t.Name)
			e.text(2, t.Datatype)
			if len(t.Shape) > 0 {
				e.within(3, func(e *encoder) { e.packed(t.Shape) })
			}
		})
	}
}

func (e *encoder) counts(num protowire.Number, all map[string]int64) {
	if len(all) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		e.within(num, func(e *encoder) {
			e.text(1, name)
			e.number(2, uint64(all[name]))
		})
	}
}
