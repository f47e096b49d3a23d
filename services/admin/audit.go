package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// Said opens what was said in calls; [payload.Reader] does.
type Said interface {
	Open(ctx context.Context, ref *audit.PayloadRef) (*payload.Content, error)
	Words(ctx context.Context, text string) (hashes [][]uint64, closed int, err error)
	LookUp(value string) ([][]uint64, bool)
}

var _ Said = (*payload.Reader)(nil)

// maxFilter bounds each text of a query, in bytes.
const maxFilter = 1 << 10

// errNoLog is the answer where calls are not recorded.
var errNoLog = &access.Error{
	Kind: access.Unavailable, Reason: access.ReasonAuditAway,
	Message: "this gateway records no calls; an administrator can add the keys store or audit",
}

// errNoPayloads is the answer where no payload can be opened.
var errNoPayloads = &access.Error{
	Kind: access.Unavailable, Reason: access.ReasonAuditAway,
	Message: "this gateway has no key to open payloads with; an administrator can add the key secrets",
}

// auditor is who reads, and what he may: audit_read is held on models, and records
// without a model are for who holds it on all.
type auditor struct {
	*Service
	who   *access.Principal
	verb  access.Verb
	known map[string]bool
}

// auditor lets somebody read for whom there could be something to see.
func (s *Service) auditor(call *access.Call) (*auditor, *access.Error) {
	if s.Log == nil {
		return nil, errNoLog
	}
	call.Verb = access.AuditRead
	call.Decision = s.Policy.Policy().Anywhere(call.Principal, access.AuditRead)
	if !call.Decision.Allowed {
		return nil, s.Policy.Refusal(call.Principal, access.AuditRead, "", call.Decision)
	}
	return &auditor{s, call.Principal, access.AuditRead, make(map[string]bool)}, nil
}

// sees tells whether a record is for him. What is known of models is for one
// call, which reads few of them.
func (a *auditor) sees(r *audit.Record) bool {
	may, known := a.known[r.Model]
	if !known {
		may = a.Policy.Decide(a.who, a.verb, r.Model).Allowed
		a.known[r.Model] = may
	}
	return may
}

// whole lets on who holds audit_read on every model.
func (s *Service) whole(call *access.Call, verb access.Verb) *access.Error {
	if s.Log == nil {
		return errNoLog
	}
	call.Verb, call.Decision = verb, s.Policy.Decide(call.Principal, verb, "")
	return s.Policy.Refusal(call.Principal, verb, "", call.Decision)
}

// query is a search as the log knows it.
func (s *Service) query(ctx context.Context, call *access.Call, q *pb.RecordQuery) (audit.Query, error) {
	out := audit.Query{
		Replica: q.GetReplica(), Principal: q.GetPrincipal(), Group: q.GetGroup(), Model: q.GetModel(), Verb: q.GetVerb(),
		Rule: q.GetRule(), Guard: q.GetGuard(), Session: q.GetSession(), Call: q.GetCall(), Approval: q.GetApproval(),
		Approver: q.GetApprover(), Entity: q.GetEntity(), Object: q.GetObject(),
	}
	for _, text := range []string{
		out.Replica, out.Principal, out.Group, out.Model, out.Verb, out.Rule, out.Guard, out.Session, out.Call, out.Approval, out.Approver,
		out.Entity, out.Object, strings.Join(q.GetKinds(), " "), strings.Join(q.GetWords(), " "), q.GetStatus(), q.GetVerdict(),
	} {
		if refused := checkText("query", text, maxFilter); refused != nil {
			return out, refused
		}
	}
	call.Detail = described(q)
	within(&out, q)
	if err := words(q, &out); err != nil {
		return out, err
	}
	if len(q.GetWords()) == 0 {
		return out, nil
	}
	if s.Said == nil {
		return out, errNoPayloads
	}
	if d := s.Policy.Decide(call.Principal, access.PayloadRead, ""); !d.Allowed {
		return out, s.Policy.Refusal(call.Principal, access.PayloadRead, "", d)
	}
	var err error
	out.Words, _, err = s.Said.Words(ctx, strings.Join(q.GetWords(), " "))
	if err == nil && len(out.Words) == 0 {
		err = malformed("query.words has no word that is kept: words have letters or digits, and are not all too short")
	}
	return out, err
}

// within bounds a query by the times that are asked for.
func within(q *audit.Query, asked interface {
	GetSince() *timestamppb.Timestamp
	GetUntil() *timestamppb.Timestamp
},
) {
	if t := asked.GetSince(); t != nil {
		q.Since = t.AsTime()
	}
	if t := asked.GetUntil(); t != nil {
		q.Until = t.AsTime()
	}
}

// described is a query for the record of the reading: all but the words that were
// looked for in what was said, which may be what nobody is to see.
func described(q *pb.RecordQuery) string {
	if q == nil {
		return "all records"
	}
	told := proto.Clone(q).(*pb.RecordQuery)
	told.Words = nil
	raw, err := protojson.Marshal(told)
	var text bytes.Buffer
	if err == nil {
		err = json.Compact(&text, raw) // protojson's own spaces are at random
	}
	if err != nil {
		return "" // the query's texts were checked before
	}
	if n := len(q.GetWords()); n > 0 {
		return fmt.Sprintf("%s and %d words", text.String(), n)
	}
	return text.String()
}

// words reads what is one of few words.
func words(q *pb.RecordQuery, out *audit.Query) error {
	for i, name := range q.GetKinds() {
		var k audit.Kind
		if err := k.UnmarshalText([]byte(name)); err != nil {
			return malformed("query.kinds[%d]: %s is no kind of record", i, access.Quote(name))
		}
		out.Kinds = append(out.Kinds, k)
	}
	if v := q.GetVerdict(); v != "" {
		if err := out.Verdict.UnmarshalText([]byte(v)); err != nil {
			return malformed("query.verdict: %s is not one of allowed, denied, held and failed%s", access.Quote(v), access.DidYouMean(v, []string{"allowed", "denied", "held", "failed"}))
		}
	}
	if v := q.GetVerb(); v != "" {
		if _, ok := access.ParseVerb(v); !ok {
			return malformed("query.verb: %s is not a verb", access.Quote(v))
		}
	}
	if name := q.GetStatus(); name != "" {
		var code codes.Code
		if err := code.UnmarshalJSON([]byte(strconv.Quote(strings.ToUpper(name)))); err != nil {
			return malformed("query.status: %s is no gRPC code, such as PERMISSION_DENIED", access.Quote(name))
		}
		n := uint32(code)
		out.Status = &n
	}
	return nil
}

func (s *Service) searchRecords(ctx context.Context, call *access.Call, m *pb.SearchRecordsRequest) (*pb.SearchRecordsResponse, error) {
	a, refused := s.auditor(call)
	if refused != nil {
		return nil, refused
	}
	p, refused := pageOf(m)
	if refused != nil {
		return nil, refused
	}
	q, err := s.query(ctx, call, m.GetQuery())
	if err != nil {
		return nil, err
	}
	q.Oldest, q.After = m.GetOldestFirst(), p.after
	out, scanned := new(pb.SearchRecordsResponse), 0
	var past audit.Damage
	for found, err := range s.Log.Search(ctx, q) {
		if past.Take(err) {
			continue
		}
		if err != nil {
			return nil, unreadable(err)
		}
		if scanned++; a.sees(found.Record) {
			out.Records = append(out.Records, fieldsOf(found.Record))
		}
		if len(out.Records) == p.size || scanned == maxScan {
			out.NextPageToken = tokenAfter(found.Cursor)
			break
		}
	}
	out.Damaged, out.DamagedRecords = damages(&past)
	return out, nil
}

// unreadable is an error of the log as its reader may know it.
func unreadable(err error) error {
	switch damaged := (*audit.DamagedError)(nil); {
	case errors.Is(err, audit.ErrCursor):
		return malformed("page_token is not one that this gateway gave; begin without one")
	case errors.As(err, &damaged):
		return &access.Error{
			Kind: access.Unavailable, Reason: access.ReasonAuditAway, Cause: err,
			Message: fmt.Sprintf("records %d to %d of log %s are damaged on disk; `sluice audit verify` says more; searches go on past them", damaged.First, damaged.Last, damaged.Replica),
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonAuditAway, Cause: err,
		Message: "the audit log can't be read now; the gateway's log says why",
	}
}

// recordID is a record's id, and place its inverse.
func recordID(r *audit.Record) string { return r.Replica + "/" + strconv.FormatUint(r.Seq, 10) }

func place(id string) (replica string, seq uint64, refused *access.Error) {
	i := strings.LastIndexByte(id, '/')
	if i > 0 && len(id) <= maxFilter {
		if seq, err := strconv.ParseUint(id[i+1:], 10, 64); err == nil {
			return id[:i], seq, nil
		}
	}
	return "", 0, malformed("id must be a record's, as in REPLICA/42")
}

// fieldsOf is a record with its fields by name.
func fieldsOf(r *audit.Record) *pb.Record {
	out := &pb.Record{Id: recordID(r), Time: timestamp(r.Time), Kind: r.Kind.String()}
	raw, err := json.Marshal(r)
	if err == nil {
		out.Fields = new(structpb.Struct)
		err = protojson.Unmarshal(raw, out.Fields)
	}
	if err != nil { // texts are cleaned when they are recorded; what isn't is shown without
		out.Fields = nil
	}
	return out
}

// record finds one that the caller may see.
func (s *Service) record(ctx context.Context, a *auditor, id string) (audit.Entry, error) {
	replica, seq, refused := place(id)
	if refused != nil {
		return audit.Entry{}, refused
	}
	e, err := s.Log.Get(ctx, replica, seq)
	if errors.Is(err, audit.ErrNotFound) || err == nil && !a.sees(e.Record) {
		return audit.Entry{}, noRecord(id)
	}
	if err != nil {
		return audit.Entry{}, unreadable(err)
	}
	return e, nil
}

func noRecord(id string) *access.Error {
	return &access.Error{
		Kind: access.NotFound, Reason: access.ReasonNotFound,
		Message: fmt.Sprintf("no record %s, or not one that you may see; `sluice audit search` finds records", access.Quote(id)),
	}
}

func (s *Service) getRecord(ctx context.Context, call *access.Call, m *pb.GetRecordRequest) (*pb.GetRecordResponse, error) {
	a, refused := s.auditor(call)
	if refused != nil {
		return nil, refused
	}
	call.Object = m.GetId()
	e, err := s.record(ctx, a, m.GetId())
	if err != nil {
		return nil, err
	}
	out := fieldsOf(e.Record)
	out.Encoding, out.Leaf = e.Bytes, e.Leaf[:]
	return &pb.GetRecordResponse{Record: out}, nil
}

// getPayload needs payload_read on the record's model; who sees the record and may
// not read what was said is told so.
func (s *Service) getPayload(ctx context.Context, call *access.Call, m *pb.GetPayloadRequest) (*pb.GetPayloadResponse, error) {
	a, refused := s.auditor(call)
	if refused != nil {
		return nil, refused
	}
	call.Object = m.GetId()
	e, err := s.record(ctx, a, m.GetId())
	if err != nil {
		return nil, err
	}
	r := e.Record
	call.Verb, call.Model, call.Decision = access.PayloadRead, r.Model, s.Policy.Decide(call.Principal, access.PayloadRead, r.Model)
	if refused := s.Policy.Refusal(call.Principal, access.PayloadRead, r.Model, call.Decision); refused != nil {
		return nil, refused
	}
	if s.Said == nil {
		return nil, errNoPayloads
	}
	content, err := s.Said.Open(ctx, r.Payload)
	switch {
	case errors.Is(err, audit.ErrNotFound) && r.Payload == nil:
		return &pb.GetPayloadResponse{Absent: "nothing of it was to be kept"}, nil
	case errors.Is(err, audit.ErrNotFound):
		return &pb.GetPayloadResponse{Absent: "it could not be kept, or is not there any more"}, nil
	case errors.Is(err, payload.ErrShredded):
		return &pb.GetPayloadResponse{Absent: "its time is over, and the key of its day deleted"}, nil
	case err != nil:
		return nil, unreadable(err)
	}
	out := &pb.GetPayloadResponse{Complete: content.Complete}
	for _, f := range content.Frames {
		out.Frames = append(out.Frames, &pb.Frame{
			Kind: int32(f.Kind), At: length(f.At), SizeBytes: int64(f.Size), Type: f.TypeName(), Message: f.Message, Cut: f.Cut, Masked: f.Masked,
		})
	}
	return out, nil
}

// maxFound is how many records a look-up gives.
const maxFound = 1000

func (s *Service) lookUpValue(ctx context.Context, call *access.Call, m *pb.LookUpValueRequest) (*pb.LookUpValueResponse, error) {
	if refused := s.whole(call, access.PayloadRead); refused != nil {
		return nil, refused
	}
	if m.GetValue() == "" || len(m.GetValue()) > maxFilter {
		return nil, malformed("value is missing, or longer than %d bytes", maxFilter)
	}
	if s.Said == nil {
		return nil, errNoPayloads
	}
	hashes, can := s.Said.LookUp(m.GetValue())
	if !can {
		return nil, &access.Error{
			Kind: access.Unavailable, Reason: access.ReasonAuditAway,
			Message: "this gateway keeps no hashes of what it masks; an administrator can add audit.look_up_key",
		}
	}
	q := audit.Query{Words: hashes, Limit: maxFound}
	within(&q, m)
	out := new(pb.LookUpValueResponse)
	var past audit.Damage
	for found, err := range s.Log.Search(ctx, q) {
		if past.Take(err) {
			continue
		}
		if err != nil {
			return nil, unreadable(err)
		}
		out.Records = append(out.Records, fieldsOf(found.Record))
	}
	out.Damaged, out.DamagedRecords = damages(&past)
	return out, nil
}
