package audit

import (
	"errors"
	"net/netip"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrEncoding is the error of bytes that are no record.
var ErrEncoding = errors.New("audit: not a record's encoding")

// Decode reads a record's encoding. Fields that this version does not know are
// passed over: a later version wrote them. Decode keeps nothing of b.
func Decode(b []byte) (*Record, error) {
	r := new(Record)
	if err := fields(b, r.field); err != nil {
		return nil, err
	}
	return r, nil
}

// value is a field's value: the one that its wire type has.
type value struct {
	n uint64
	b []byte
}

// fields calls visit with each field of a message.
func fields(b []byte, visit func(num protowire.Number, v value) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return ErrEncoding
		}
		b = b[n:]
		var v value
		switch typ {
		case protowire.VarintType:
			v.n, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v.b, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
			num = 0 // none of ours
		}
		if n < 0 {
			return ErrEncoding
		}
		b = b[n:]
		if err := visit(num, v); err != nil {
			return err
		}
	}
	return nil
}

func (r *Record) field(num protowire.Number, v value) error {
	if to := r.textField(num); to != nil {
		*to = string(v.b)
		return nil
	}
	if to := r.countField(num); to != nil {
		*to = int64(v.n)
		return nil
	}
	switch num {
	case fieldSeq:
		r.Seq = v.n
	case fieldKind:
		r.Kind = Kind(v.n)
	case fieldTime:
		r.Time = time.UnixMicro(int64(v.n)).UTC()
	case fieldDuration:
		r.Duration = micros(v.n)
	case fieldGroups:
		r.Groups = append(r.Groups, string(v.b))
	case fieldMeans:
		r.Means = append(r.Means, string(v.b))
	case fieldWouldHave:
		r.WouldHave = append(r.WouldHave, string(v.b))
	case fieldPeer:
		r.Peer, _ = netip.AddrFromSlice(v.b)
	case fieldVerdict:
		r.Verdict = Verdict(v.n)
	case fieldStatus:
		r.Status = uint32(v.n)
	case fieldCut:
		r.Cut = v.n != 0
	case fieldOverhead:
		r.Overhead = micros(v.n)
	case fieldCount:
		r.Count = v.n
	default:
		return r.inner(num, v.b)
	}
	return nil
}

func micros(n uint64) time.Duration { return time.Duration(n) * time.Microsecond }

// textField is where a field of text goes, nil for others.
func (r *Record) textField(num protowire.Number) *string {
	switch num {
	case fieldReplica:
		return &r.Replica
	case fieldSubject:
		return &r.Subject
	case fieldIssuer:
		return &r.Issuer
	case fieldName:
		return &r.Name
	case fieldUserKind:
		return &r.UserKind
	case fieldDoor:
		return &r.Door
	case fieldRPC:
		return &r.RPC
	case fieldSession:
		return &r.Session
	case fieldCall:
		return &r.Call
	case fieldRequest:
		return &r.Request
	case fieldVerb:
		return &r.Verb
	case fieldModel:
		return &r.Model
	case fieldAskedVersion:
		return &r.AskedVersion
	case fieldVersion:
		return &r.Version
	case fieldRule:
		return &r.Rule
	case fieldGuard:
		return &r.Guard
	case fieldBackend:
		return &r.Backend
	case fieldServer:
		return &r.Server
	case fieldReason:
		return &r.Reason
	case fieldCause:
		return &r.Cause
	case fieldObject:
		return &r.Object
	case fieldDetail:
		return &r.Detail
	default:
		return nil
	}
}

func (r *Record) countField(num protowire.Number) *int64 {
	switch num {
	case fieldBytesIn:
		return &r.BytesIn
	case fieldBytesOut:
		return &r.BytesOut
	case fieldAnswers:
		return &r.Answers
	case fieldTokensIn:
		return &r.TokensIn
	case fieldTokensOut:
		return &r.TokensOut
	default:
		return nil
	}
}

// inner reads the fields that are messages, and passes over what is not known.
func (r *Record) inner(num protowire.Number, b []byte) (err error) {
	switch num {
	case fieldApproval:
		r.Approval = new(Approval)
		return fields(b, r.Approval.field)
	case fieldInputs:
		r.Inputs, err = appendTensor(r.Inputs, b)
	case fieldOutputs:
		r.Outputs, err = appendTensor(r.Outputs, b)
	case fieldMasked:
		r.Masked, err = addCount(r.Masked, b)
	case fieldObserved:
		r.Observed, err = addCount(r.Observed, b)
	case fieldTiming:
		r.Timing, err = unpack(r.Timing, b)
	case fieldPayload:
		r.Payload = new(PayloadRef)
		return fields(b, r.Payload.field)
	}
	return err
}

func (a *Approval) field(num protowire.Number, v value) error {
	switch num {
	case 1:
		a.Request = string(v.b)
	case 2:
		a.Grant = string(v.b)
	case 3:
		a.Approvers = append(a.Approvers, string(v.b))
	case 4:
		a.BreakGlass = v.n != 0
	case 5:
		a.Waited = micros(v.n)
	}
	return nil
}

func (p *PayloadRef) field(num protowire.Number, v value) error {
	switch num {
	case 1:
		p.ID = string(v.b)
	case 2:
		copy(p.Digest[:], v.b)
	case 3:
		p.Complete = v.n != 0
	}
	return nil
}

func appendTensor(to []Tensor, b []byte) ([]Tensor, error) {
	var t Tensor
	err := fields(b, func(num protowire.Number, v value) (err error) {
		switch num {
		case 1:
			t.Name = string(v.b)
		case 2:
			t.Datatype = string(v.b)
		case 3:
			t.Shape, err = unpack(t.Shape, v.b)
		}
		return err
	})
	return append(to, t), err
}

func addCount(to map[string]int64, b []byte) (map[string]int64, error) {
	var name string
	var n int64
	err := fields(b, func(num protowire.Number, v value) error {
		switch num {
		case 1:
			name = string(v.b)
		case 2:
			n = int64(v.n)
		}
		return nil
	})
	if to == nil {
		to = make(map[string]int64)
	}
	to[name] = n
	return to, err
}

func unpack(to []int64, b []byte) ([]int64, error) {
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return to, ErrEncoding
		}
		to, b = append(to, int64(v)), b[n:]
	}
	return to, nil
}
