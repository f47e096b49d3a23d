package audit

import (
	"net/netip"
	"time"
)

// Kind says what a record is about.
type Kind uint8

// The kinds of records. Their numbers are kept for ever.
const (
	// KindCall is a call that has ended, KindMessage one request of a stream.
	KindCall    Kind = 1
	KindMessage Kind = 2
	// KindIntent is written before a strict call goes on to the backend; the
	// call's own record follows when it has ended.
	KindIntent Kind = 3
	// KindAdmin is something that a person did to the gateway: an approval, a
	// search of this log.
	KindAdmin Kind = 4
	// KindReload is a configuration that was taken into force, or was not; KindStart
	// and KindStop are of the process.
	KindReload Kind = 5
	KindStart  Kind = 6
	KindStop   Kind = 7
	// KindLoginFailed is one refusal of somebody who is not known, KindStrangers
	// how many of them an address had within [Record.Time] and Duration.
	KindLoginFailed Kind = 8
	KindStrangers   Kind = 9
	// KindGap says how many records were lost, and between when and when.
	KindGap Kind = 10
	// KindPrune says up to which one records were deleted because they were old; or, of
	// the object "clock", that none are as long as that is in doubt (Held), or that it is not.
	KindPrune Kind = 11
)

var kindNames = [...]string{
	KindCall: "call", KindMessage: "message", KindIntent: "intent", KindAdmin: "admin", KindReload: "reload", KindStart: "start",
	KindStop: "stop", KindLoginFailed: "login_failed", KindStrangers: "strangers", KindGap: "gap", KindPrune: "prune",
}

// Verdict is what became of a call.
type Verdict uint8

// The verdicts: the backend did it; Sluice said no; it waits for people, or could
// not wait for them; the backend, the caller or Sluice itself failed. Their
// numbers are kept for ever.
const (
	Allowed Verdict = 1
	Denied  Verdict = 2
	Held    Verdict = 3
	Failed  Verdict = 4
)

var verdictNames = [...]string{Allowed: "allowed", Denied: "denied", Held: "held", Failed: "failed"}

// Limits of what one record holds. What is more is cut and said to be.
const (
	// MaxText is how many bytes a text has at most, and MaxList a list of texts.
	MaxText = 256
	MaxList = 64
	// MaxTensors is how many tensors are told of each side, MaxShape how many
	// dimensions of each.
	MaxTensors = 64
	MaxShape   = 16
	// MaxTiming is of how many answers the time is told.
	MaxTiming = 4096
	// MaxRecord is more than any record's encoding is long, in bytes.
	MaxRecord = 128 << 10
)

// Record is one thing that happened. The keys of its JSON are those of
// OpenTelemetry (user.*, client.*, rpc.*, gen_ai.*) and of KServe (id,
// model_version, inputs, outputs) where they have a word for it. A field that is
// empty is not there.
//
// A Record belongs to who makes it until it is handed to a [Recorder]; nobody
// writes to it from then on.
type Record struct {
	// Replica and Seq are the record's place: which log, and the how-manieth in it,
	// from 0. The order of a log is the order of Seq, whatever the clocks said.
	Replica string `json:"sluice.replica,omitempty"`
	Seq     uint64 `json:"sluice.seq"`
	Kind    Kind   `json:"sluice.kind"`
	// Time is when it began, in microseconds of UTC; Duration how long it took.
	Time     time.Time     `json:"time"`
	Duration time.Duration `json:"duration_ns,omitempty"`

	// Subject and Issuer name the principal; the others say more of him. Rule, below,
	// says by which role he was allowed.
	Subject  string     `json:"user.id,omitempty"`
	Issuer   string     `json:"user.issuer,omitempty"`
	Name     string     `json:"user.name,omitempty"`
	UserKind string     `json:"user.kind,omitempty"`
	Groups   []string   `json:"user.groups,omitempty"`
	Means    []string   `json:"user.means,omitempty"`
	Peer     netip.Addr `json:"client.address,omitzero"`
	Door     string     `json:"sluice.door,omitempty"`
	RPC      string     `json:"rpc.method,omitempty"`
	Session  string     `json:"session.id,omitempty"`
	Call     string     `json:"sluice.call,omitempty"`
	// Request is the id that the client gave its request.
	Request string `json:"id,omitempty"`

	Verb  string `json:"sluice.verb,omitempty"`
	Model string `json:"gen_ai.request.model,omitempty"`
	// AskedVersion is the version that was asked for, Version the one that answered.
	AskedVersion string  `json:"sluice.request.model_version,omitempty"`
	Version      string  `json:"model_version,omitempty"`
	Verdict      Verdict `json:"sluice.verdict,omitempty"`
	// Rule, Guard and WouldHave are why: the role or rule of policy, the guard that
	// denied or held it, the guards that only observe.
	Rule      string    `json:"sluice.rule,omitempty"`
	Guard     string    `json:"sluice.guard,omitempty"`
	WouldHave []string  `json:"sluice.would_have,omitempty"`
	Approval  *Approval `json:"sluice.approval,omitempty"`
	Backend   string    `json:"sluice.backend,omitempty"`
	// Server is the replica of the backend that was asked: an address.
	Server string `json:"server.address,omitempty"`
	// Status is the gRPC code by its number, Reason the stable reason of a refusal
	// of Sluice's own, Cause what is for the record alone.
	Status uint32 `json:"rpc.grpc.status_code"`
	Reason string `json:"error.type,omitempty"`
	Cause  string `json:"sluice.cause,omitempty"`

	// BytesIn and BytesOut are the sizes of the messages, in bytes.
	BytesIn  int64    `json:"sluice.request.size,omitempty"`
	BytesOut int64    `json:"sluice.response.size,omitempty"`
	Inputs   []Tensor `json:"inputs,omitempty"`
	Outputs  []Tensor `json:"outputs,omitempty"`
	// Cut tells that there were more tensors, texts or times than a record holds.
	Cut bool `json:"sluice.cut,omitempty"`
	// Answers is how many messages a request or stream was answered with; TokensIn
	// and TokensOut are the server's own counts, where it gives them.
	Answers   int64 `json:"sluice.answers,omitempty"`
	TokensIn  int64 `json:"gen_ai.usage.input_tokens,omitempty"`
	TokensOut int64 `json:"gen_ai.usage.output_tokens,omitempty"`
	// Masked and Observed count, by entity, what masking found, and what rules that
	// only observe did.
	Masked   map[string]int64 `json:"sluice.masked,omitempty"`
	Observed map[string]int64 `json:"sluice.observed,omitempty"`
	// Timing has when each answer came, in microseconds: the first since Time, each
	// other since the one before.
	Timing []int64 `json:"sluice.timing_us,omitempty"`
	// Overhead is the part of Duration that was Sluice's own.
	Overhead time.Duration `json:"sluice.overhead_ns,omitempty"`

	// Payload says what is kept of what was said; nil is nothing.
	Payload *PayloadRef `json:"sluice.payload,omitempty"`

	// Object is what an admin action, a reload or a prune was about: an id, a
	// digest, a sequence number. Detail says more, in words.
	Object string `json:"sluice.object,omitempty"`
	Detail string `json:"sluice.detail,omitempty"`
	// Count is how many a gap or strangers' record stands for.
	Count uint64 `json:"sluice.count,omitempty"`
}

// PrincipalID is "issuer#subject"; empty where nobody is known.
func (r *Record) PrincipalID() string {
	if r.Subject == "" && r.Issuer == "" {
		return ""
	}
	return r.Issuer + "#" + r.Subject
}

// OfStream says whether r is of a whole stream, whose requests have records of their
// own: all that is asked, answered and masked on it is told there.
func (r *Record) OfStream() bool { return r.Kind == KindCall && r.RPC == "ModelStreamInfer" }

// Tensor is what is told of a tensor: never what is in it.
type Tensor struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype,omitempty"`
	Shape    []int64 `json:"shape,omitempty"`
}

// Approval is what people said to a call.
type Approval struct {
	Request    string        `json:"request,omitempty"`
	Grant      string        `json:"grant,omitempty"`
	Approvers  []string      `json:"approvers,omitempty"`
	BreakGlass bool          `json:"break_glass,omitempty"`
	Waited     time.Duration `json:"waited_ns,omitempty"`
}

// PayloadRef points to what was said, which is kept beside the log, sealed.
type PayloadRef struct {
	// ID finds it ([Payloads]).
	ID string `json:"id"`
	// Digest is the SHA-256 of the sealed bytes: it ties them to this record.
	Digest [32]byte `json:"-"`
	// Complete tells that nothing was left out for its size.
	Complete bool `json:"complete"`
}
