package access

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// Decision is what policy said about one verb on one model.
type Decision struct {
	Allowed bool
	// Reason is one of the public reasons where not allowed, "" where allowed.
	Reason string
	// Rule names what decided ("role model-viewer", "no role allows it") for
	// the record; the caller does not get to see it.
	Rule string
}

// Call is one call on its way: made outermost, filled in by each step, read
// by the record when it closes. On a stream it describes the stream, and
// [Call.OnMessage] hears of each message. One goroutine at a time writes to it:
// the steps run one inside the other.
type Call struct {
	// ID is the request id that logs and refusals show.
	ID     string
	RPC    string // "ModelInfer"
	Door   string // "grpc", "rest"
	Stream bool
	// Peer is the caller's address; the zero Addr where it has none.
	Peer   netip.Addr
	Opened time.Time
	// Metadata is what the caller sent, keys in lower case; it is read once
	// and nobody writes to it.
	Metadata map[string][]string

	Principal *Principal // nil until identity has spoken
	// Session is the id of the session that the call is part of.
	Session string
	Verb    Verb
	Model   string
	Version string
	Backend string
	// Replica is the address of the backend's that was asked last, InBackend how long
	// backends have taken; both are those of a unary call.
	Replica   string
	InBackend time.Duration
	Decision  Decision
	// Object is what an admin action is about, for the record: the id of what was
	// asked for or changed.
	Object string
	// Detail is what its caller says for an admin action, for the record.
	Detail string
	// Guard is the guard that denied the call or had it wait; WouldHave are those
	// that only observe and had something to say.
	Guard     string
	WouldHave []string
	// Needs are the approvals that guards ask for, of the call or of the message of
	// a stream that is being read.
	Needs []*Need
	// Granted is what let the call, or the message that is being read, through
	// policy although no role does, and of a message what people were asked for
	// besides. Only who reads requests writes and reads it.
	Granted *Approval
	// Approval is what let a call through that needed it, or what it waited for.
	Approval *Approval
	// Masking tells that the call's answer is masked: nothing else of the
	// backend's that could carry its text goes to the caller.
	Masking bool
	// Masked counts what was masked in the call's answers, by entity; Observed
	// what rules that only observe have found. Both are nil while there is none.
	Masked, Observed map[string]int64
	// Marks are keyed hashes of what was masked, where somebody is to find the call by
	// them: at most [MaxMarks], none twice.
	Marks []uint64
	// Refused is the refusal that ended the call, if Sluice itself ended it.
	Refused *Error

	// Intent, if set, writes down what is about to be done; what it returns ends
	// the call. It is set by the record and called when all has been decided.
	Intent func(context.Context) error

	// OnMessage, if set, hears each decision on a message of a stream: policy's,
	// and a second one where the request or one of its answers is refused
	// after that, or was let through by an approval: that one has no decision. It is safe for concurrent use: one goroutine reads the stream's
	// requests while others send answers.
	OnMessage func(Message)
	// OnRoute, if set, hears to which replica of which backend the message of a stream
	// goes that was read last, on the goroutine that reads.
	OnRoute func(backend, replica string)
	// OnAnswer, if set, hears that an answer to a message of a stream has come and is
	// about to be sent, on the goroutine that sends it.
	OnAnswer func()
	// OnMasked, if set, hears what masking found in one answer of a model, on the
	// goroutine that sends the answer.
	OnMasked func(Found)
	// OnGuard, if set, hears of each guard that had something to say, on the
	// goroutine that reads the request.
	OnGuard func(GuardOutcome)
}

// Approval is what people said to a call.
type Approval struct {
	// Request and Grant are their ids; Approvers the ids of the principals who
	// approved or denied.
	Request, Grant string
	Approvers      []string
	// BreakGlass tells that the caller gave himself the grant.
	BreakGlass bool
	// Waited is how long the call was held.
	Waited time.Duration
}

// Found is how many spans of an entity masking found in one answer.
type Found struct {
	// Model is empty where it was an error's text: who asked chose the name.
	Model, Entity string
	N             int64
	// Observed tells that the rule only observes: nothing was changed.
	Observed bool
}

// Count adds to what masking found in the call's answers.
func (c *Call) Count(f Found) {
	counts := &c.Masked
	if f.Observed {
		counts = &c.Observed
	}
	if *counts == nil {
		*counts = make(map[string]int64)
	}
	(*counts)[f.Entity] += f.N
	if c.OnMasked != nil {
		c.OnMasked(f)
	}
}

// MaxMarks is how many marks a call has at most.
const MaxMarks = 64

// Mark adds a mark. Like Count it is called by who sends the call's answers.
func (c *Call) Mark(mark uint64) {
	if len(c.Marks) < MaxMarks && !slices.Contains(c.Marks, mark) {
		c.Marks = append(c.Marks, mark)
	}
}

// Message is the decision about one message of a stream.
type Message struct {
	ID       string
	Verb     Verb
	Model    string
	Decision Decision
	Refused  *Error
	// Guard, WouldHave and Approval are those of [Call], of this message.
	Guard     string
	WouldHave []string
	Approval  *Approval
}

// Note writes down how the call ended, if it was an [Error] of Sluice's own and
// nothing was noted before.
func (c *Call) Note(err error) {
	if e, ok := AsError(err); ok && c.Refused == nil {
		c.Refused = e
	}
}

// Verdict is "allowed", "refused" where Sluice said no, or "failed" where the
// backend or the caller ended it, or Sluice could not do it.
func (c *Call) Verdict(ok bool) string { return verdict(c.Refused, ok) }

// Verdict is the message's, in the words of [Call.Verdict].
func (m Message) Verdict() string { return verdict(m.Refused, true) }

func verdict(refused *Error, ok bool) string {
	switch {
	case refused != nil && refused.Kind != Internal && refused.Kind != Unavailable:
		return "refused"
	case refused != nil, !ok:
		return "failed"
	default:
		return "allowed"
	}
}

type callKey struct{}

// WithCall returns a context that carries c.
func WithCall(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallFrom returns the context's call, or nil outside of one.
func CallFrom(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}
