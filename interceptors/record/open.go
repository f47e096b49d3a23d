package record

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/wire"
)

// open is a unary call whose record is not written yet.
type open struct {
	recorder *Recorder
	call     *access.Call
	record   audit.Record // what is seen of request and answer
	intended bool         // an intent is in the log: the end has to be too
	capture  *payload.Capture
}

// asked looks at the request.
func (o *open) asked(r *wire.Request) {
	m, err := r.Message()
	if err != nil || m.Len() == 0 {
		return
	}
	o.record.BytesIn = int64(m.Len())
	o.capture = o.recorder.Payloads.Begin(o.call.Model, o.call.Verb, o.call.Session, o.call.Opened)
	o.say(m)
	if o.call.RPC == "ModelInfer" {
		o.recorder.signatures.request(&o.record, m)
	}
}

// unasked looks at a request that went no further than to a refusal: at what its
// caller calls it, and how large it was.
func (o *open) unasked(req any) {
	r, ok := req.(*wire.Request)
	if !ok || o.record.BytesIn > 0 {
		return
	}
	m, err := r.Message()
	if err != nil || m.Len() == 0 {
		return
	}
	o.record.BytesIn = int64(m.Len())
	if o.call.RPC != "ModelInfer" {
		return
	}
	if view, err := m.InferRequest(); err == nil {
		o.record.Request = clean(short(view.ID()))
	}
}

// probes are the RPCs that change nothing, tell nothing of a model, and are open.
// Others may have no verb either: what is done there hangs on an object, such as
// whose session is ended.
var probes = map[string]bool{
	"ServerLive": true, "ServerReady": true, "ServerMetadata": true, "Check": true, "List": true, "Watch": true, "GetLogin": true,
}

// intend is [access.Call.Intent]: all has been decided, and the call goes on unless
// it can't be recorded.
func (o *open) intend(ctx context.Context) error {
	if probes[o.call.RPC] {
		return nil // nobody restarts a gateway for its audit log
	}
	a := o.recorder.Audit
	if !a.Strict(o.call.Verb) {
		return a.Admit(ctx)
	}
	record := o.record
	fill(&record, o.call)
	record.Kind, record.Time = audit.KindIntent, o.recorder.now()
	o.recorder.mask(&record)
	err := a.Write(ctx, &record, nil)
	o.intended = err == nil
	return err
}

// answered looks at the answer.
func (o *open) answered(resp any) {
	switch m := resp.(type) {
	case *wire.Message:
		if m == nil {
			return
		}
		o.record.BytesOut, o.record.Answers = int64(m.Len()), 1
		o.capture.Answer(m)
		if o.call.RPC == "ModelInfer" {
			o.recorder.signatures.answer(&o.record, m)
		}
	case proto.Message:
		o.record.BytesOut, o.record.Answers = int64(proto.Size(m)), 1
		o.capture.OtherAnswer(m)
	}
}

// close writes the record of the call. The error, of a call whose end has to be
// written before it is answered, is the answer in place of its own.
func (o *open) close(ctx context.Context, code codes.Code, cause string) error {
	r, call, record := o.recorder, o.call, &o.record
	fill(record, call)
	record.Duration = r.since(call.Opened)
	record.Verdict, record.Status, record.Cause = verdict(call.Refused, code), uint32(code), clean(cause)
	if record.Answers > 0 && code == codes.OK {
		record.Timing = []int64{record.Duration.Microseconds()}
	}
	waited := call.InBackend
	if call.Approval != nil {
		waited += call.Approval.Waited
	}
	record.Overhead = max(record.Duration-waited, 0)
	return r.keep(ctx, o.capture, code == codes.OK, call.Marks, record, o.intended, call)
}

// put hands a finished record over. Calls of nobody, be they refused or probes, are
// counted where they are many: they are what a stranger can do at will.
func (r *Recorder) put(ctx context.Context, call *access.Call, record *audit.Record, said *audit.Payload, wait bool) error {
	r.mask(record)
	switch {
	case call.Principal == nil:
		if call.Refused != nil && call.Refused.Kind == access.Unauthenticated {
			record.Kind = audit.KindLoginFailed
		}
		r.Audit.Stranger(record)
	case wait:
		return r.Audit.Write(context.WithoutCancel(ctx), record, said)
	default:
		r.Audit.Record(record, said)
	}
	return nil
}

// fill writes what is known of a call.
func fill(record *audit.Record, call *access.Call) {
	record.Kind, record.Time = audit.KindCall, call.Opened
	if call.Verb >= access.Approve || call.Verb == access.None && call.Principal != nil && (call.Door == "admin" || call.Door == "slack") && !probes[call.RPC] {
		record.Kind = audit.KindAdmin
	}
	who(record, call)
	record.Verb, record.Object = verbOf(call.Verb), clean(call.Object)
	record.Detail = clean(call.Detail)
	record.Model, record.AskedVersion = clean(call.Model), clean(call.Version)
	record.Masked, record.Observed = call.Masked, call.Observed
	why := reasons{decision: call.Decision, refused: call.Refused}
	if !call.Stream { // a stream's messages have their own, and the reader may not have ended
		record.Backend, record.Server = call.Backend, call.Replica
		why.guard, why.wouldHave, why.approval = call.Guard, call.WouldHave, call.Approval
	}
	why.fill(record)
}

func verbOf(v access.Verb) string {
	if v == access.None {
		return ""
	}
	return v.String()
}

// who writes who calls, and from where.
func who(record *audit.Record, call *access.Call) {
	record.Peer, record.Door, record.RPC, record.Call = call.Peer, call.Door, call.RPC, call.ID
	if record.Session = clean(call.Session); record.Session == "" && call.Stream {
		record.Session = call.ID // so that what belongs to a stream is found together
	}
	if p := call.Principal; p != nil {
		record.Subject, record.Issuer, record.Name, record.UserKind = clean(p.Subject), clean(p.Issuer), clean(p.Name), string(p.Kind)
		record.Groups, record.Means = list(record, p.Groups), list(record, p.Means)
	}
}

// reasons are why a call or a message was decided as it was.
type reasons struct {
	decision  access.Decision
	guard     string
	wouldHave []string
	approval  *access.Approval
	refused   *access.Error
}

func (w reasons) fill(record *audit.Record) {
	record.Rule, record.Guard, record.WouldHave = w.decision.Rule, w.guard, list(record, w.wouldHave)
	if w.refused != nil {
		record.Reason = w.refused.Reason
	}
	if a := w.approval; a != nil {
		record.Approval = &audit.Approval{Request: a.Request, Grant: a.Grant, Approvers: list(record, a.Approvers), BreakGlass: a.BreakGlass, Waited: a.Waited}
	}
}

// verdict says in the record's words what became of a call.
func verdict(refused *access.Error, code codes.Code) audit.Verdict {
	switch {
	case refused == nil && code == codes.OK:
		return audit.Allowed
	case refused == nil, refused.Kind == access.Internal, refused.Kind == access.Unavailable:
		return audit.Failed
	case refused.Kind == access.NeedsApproval && refused.Reason != access.ReasonApprovalDenied:
		return audit.Held
	default:
		return audit.Denied
	}
}

// clean bounds a text that somebody else chose, and makes it one.
func clean(s string) string {
	if len(s) > audit.MaxText {
		s = s[:audit.MaxText]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// list bounds a list. What is within bounds, as nearly all are, is shared.
func list(record *audit.Record, all []string) []string {
	if len(all) > audit.MaxList {
		all, record.Cut = all[:audit.MaxList], true
	}
	for i, s := range all {
		if c := clean(s); c != s {
			all = append([]string(nil), all...)
			for j := i; j < len(all); j++ {
				all[j] = clean(all[j])
			}
			break
		}
	}
	return all
}

// took is a time in microseconds, never negative: clocks step.
func took(d time.Duration) int64 { return max(d.Microseconds(), 0) }

// codeOf is the gRPC code of a refusal.
func codeOf(refused *access.Error) codes.Code {
	return status.Code(interceptors.ToStatus(refused))
}
