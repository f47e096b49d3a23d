package record

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
	"github.com/sluice-gateway/sluice/wire"
)

// maxOpen is how many requests of one stream are waited for that are not answered to
// the end. Beyond it the oldest is written as it is: a server that never says which
// answer is the last must not keep the records of a long stream back.
const maxOpen = 64

// finalKey is Triton's response parameter that marks a request's last answer.
const finalKey = "triton_final_response"

// stream writes a record for each request of a stream, when its last answer has
// left or it was refused, and one for the stream itself when it ends.
type stream struct {
	grpc.ServerStream
	ctx      context.Context //nolint:containedctx // a ServerStream is asked for its context by contract
	recorder *Recorder
	call     *access.Call

	mu      sync.Mutex
	reading *message       // what was decided on last and has not gone on yet
	open    []*message     // what has gone on, the oldest first
	found   []access.Found // what masking found since the last answer
	came    time.Time      // when the answer came that is being sent, or its part before left
	total   audit.Record
	over    bool
	begun   bool // who reads requests alone uses it
}

// message is a request whose record is not written yet.
type message struct {
	access.Message
	record audit.Record
	last   time.Time // when its last answer left
	// intended tells that an intent is in the log: the end is to be, too, before the last
	// answer leaves.
	intended bool

	capture   *payload.Capture
	decoupled atomic.Bool // it may have several answers, the last of which says so
	like      alike
}

// alike is an answer that was attributed to a request, was not its last and said so:
// one that differs from it in its data alone is the same request's, and there is
// nothing else to see in it. Nearly all tokens are that.
type alike struct {
	head     []byte
	known    bool
	followed bool // it was attributed by its follower, not by its id
}

func newStream(ss grpc.ServerStream, r *Recorder, call *access.Call) *stream {
	s := &stream{ServerStream: ss, recorder: r, call: call}
	s.ctx = context.WithValue(ss.Context(), openKey{}, s)
	call.Intent = s.intend
	call.OnRoute = s.routed
	call.OnAnswer = s.arrived
	count := call.OnMasked
	call.OnMasked = func(f access.Found) {
		if count != nil {
			count(f)
		}
		s.masked(f)
	}
	return s
}

// Context carries the stream, for the step that sees the requests.
func (s *stream) Context() context.Context { return s.ctx }

// decided hears what was decided on a request, or on an answer to one.
func (s *stream) decided(m access.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	if m.Refused == nil {
		if r := s.reading; r != nil && m.Decision == (access.Decision{}) && r.ID == m.ID && r.Model == m.Model {
			s.reading = r.with(m) // people have let it through
			return
		}
		s.reading = &message{Message: m}
		s.reading.record.Time = s.recorder.now()
		return
	}
	refused := s.refused(m)
	refused.intended = false // who is refused is answered by others, and not kept waiting
	_ = s.finish(refused, codes.OK)
}

// refused finds the request that a refusal is about: the one that is being read, or
// the last that has gone on with its id. Policy's refusal is the first that is
// heard of one.
func (s *stream) refused(m access.Message) *message {
	if r := s.reading; r != nil && r.ID == m.ID && r.Model == m.Model {
		s.reading = nil
		return r.with(m)
	}
	for i := len(s.open) - 1; i >= 0; i-- {
		if r := s.open[i]; r.ID == m.ID && r.Model == m.Model {
			s.open = slices.Delete(s.open, i, i+1)
			return r.with(m)
		}
	}
	r := &message{Message: m}
	r.record.Time = s.recorder.now()
	return r
}

// with adds what a later step said.
func (r *message) with(m access.Message) *message {
	before := r.Message
	r.Message = m
	if m.Decision == (access.Decision{}) {
		r.Decision = before.Decision
	}
	if m.Guard == "" {
		r.Guard = before.Guard
	}
	if m.WouldHave == nil {
		r.WouldHave = before.WouldHave
	}
	if m.Approval == nil {
		r.Approval = before.Approval
	}
	return r
}

// asked looks at a request that every step has let through, and gives its id.
func (s *stream) asked(m *wire.Message) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.reading
	s.total.BytesIn += int64(m.Len())
	if r == nil {
		return ""
	}
	r.record.BytesIn = int64(m.Len())
	s.follow(r, m)
	s.recorder.signatures.request(&r.record, m)
	return r.ID
}

// model is the one that the request is for which is being read.
func (s *stream) model() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading == nil {
		return ""
	}
	return s.reading.Model
}

// intend is [access.Call.Intent], for each request.
func (s *stream) intend(ctx context.Context) error {
	a := s.recorder.Audit
	s.mu.Lock()
	r := s.reading
	s.mu.Unlock()
	if r == nil {
		return s.begin(ctx)
	}
	err := error(nil)
	if a.Strict(r.Verb) {
		record := r.record
		s.describe(&record, r)
		record.Kind = audit.KindIntent
		s.recorder.mask(&record)
		err = a.Write(ctx, &record, nil)
	} else {
		err = a.Admit(ctx)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over { // it is recorded as what did not go on
		r.capture.Drop()
		return context.Canceled
	}
	s.reading, s.open = nil, append(s.open, r)
	r.intended = a.Strict(r.Verb)
	if len(s.open) > maxOpen {
		oldest := s.open[0]
		s.open = slices.Delete(s.open, 0, 1)
		oldest.capture.Drop()
		oldest.intended = false
		_ = s.finish(oldest, codes.OK)
	}
	return nil
}

// begin notes that a stream of the admin API goes on: one that reads the log may last
// for weeks, and is known from its beginning.
func (s *stream) begin(ctx context.Context) error {
	if s.call.Verb < access.Approve || s.begun {
		return nil
	}
	if err := s.recorder.Audit.Admit(ctx); err != nil {
		return err
	}
	s.begun = true
	record := new(audit.Record)
	fill(record, s.call)
	record.Kind = audit.KindIntent
	s.recorder.Audit.Record(record, nil)
	return nil
}

// reads tells whether a request is being read, which can be refused by itself.
func (s *stream) reads() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading != nil
}

// routed hears where the request goes that has been read last.
func (s *stream) routed(backend, replica string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.open); n > 0 {
		record := &s.open[n-1].record
		record.Backend, record.Server = backend, replica
		record.Overhead = s.recorder.since(record.Time)
	}
}

// arrived hears that an answer has come.
func (s *stream) arrived() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came = s.recorder.now()
}

// maxFound bounds what is noted between two answers: rules and entities are few.
const maxFound = 1024

func (s *stream) masked(f access.Found) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.found) < maxFound {
		s.found = append(s.found, f)
	}
}

// SendMsg sends an answer, and notes when it left.
func (s *stream) SendMsg(m any) error {
	if end, ok := m.(wire.End); ok {
		s.ended(end)
		return nil // it is for the step that follows, and goes no further
	}
	if answer, ok := m.(*wire.Message); ok {
		if err := s.answer(answer); err != nil {
			return err
		}
	} else if other, ok := m.(proto.Message); ok {
		s.mu.Lock()
		s.total.BytesOut += int64(proto.Size(other))
		s.mu.Unlock()
	}
	return s.ServerStream.SendMsg(m)
}

// answer notes an answer on the record of its request. It is found by its id, the
// oldest first: as exactly as clients themselves can tell. The error is of a last one
// that must not leave unrecorded.
func (s *stream) answer(m *wire.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total.Answers++
	s.total.BytesOut += int64(m.Len())
	follower, followed := m.Follower().(*message)
	if r := s.alike(m, follower, followed); r != nil {
		s.noted(r, m, followed)
		return nil
	}
	view, err := m.StreamResponse()
	if err != nil || len(s.open) == 0 {
		return nil
	}
	resp := view.Response()
	id := resp.ID()
	i := slices.IndexFunc(s.open, func(r *message) bool { return r == follower || !followed && id.Is(r.ID) })
	if i < 0 {
		return nil
	}
	r := s.open[i]
	s.noted(r, m, followed)
	code := codes.OK
	if view.ErrorMessage().Len() > 0 {
		code = codes.Unknown // a server's own words, which say no code
	} else {
		s.recorder.signatures.outputs(&r.record, resp)
	}
	final, marked := resp.Parameters().Get(finalKey)
	if last, _ := final.Bool(); last || !marked && (!r.decoupled.Load() || code != codes.OK) {
		s.open = slices.Delete(s.open, i, i+1)
		return s.finish(r, code)
	}
	r.like.followed = followed
	r.like.head, r.like.known = view.AppendHead(r.like.head[:0])
	r.like.known = r.like.known && marked && code == codes.OK && !tells(r.record.Outputs)
	return nil
}

// alike finds the request of an answer that is like its last one. Where answers are
// attributed by ids, the first request with an id stays the first until it is ended,
// and is so forgotten.
func (s *stream) alike(m *wire.Message, follower *message, followed bool) *message {
	for _, r := range s.open {
		if r.like.known && r.like.followed == followed && (!followed || r == follower) && m.HasHead(r.like.head) {
			return r
		}
	}
	return nil
}

// noted notes that an answer to r leaves. s.mu is held.
func (s *stream) noted(r *message, m *wire.Message, followed bool) {
	now := s.recorder.now()
	if !s.came.IsZero() {
		r.record.Overhead += now.Sub(s.came)
		s.came = now
	}
	r.said(m, followed, now)
	r.note(now)
	for _, f := range s.found {
		r.count(f)
	}
	s.found = s.found[:0]
	r.record.BytesOut += int64(m.Len())
}

// note notes the time of an answer.
func (r *message) note(now time.Time) {
	before := r.last
	if before.IsZero() {
		before = r.record.Time
	}
	r.last = now
	if r.record.Answers++; len(r.record.Timing) == audit.MaxTiming {
		r.record.Cut = true
		return
	}
	r.record.Timing = append(r.record.Timing, took(now.Sub(before)))
}

// count adds what masking found in an answer.
func (r *message) count(f access.Found) {
	counts := &r.record.Masked
	if f.Observed {
		counts = &r.record.Observed
	}
	if *counts == nil {
		*counts = make(map[string]int64)
	}
	(*counts)[f.Entity] += f.N
}

// finish writes the record of a request, and waits for it where its intent is written.
// s.mu is held.
func (s *stream) finish(r *message, code codes.Code) error {
	if r.Refused != nil {
		code = codeOf(r.Refused)
		if r.Refused.Cause != nil {
			r.record.Cause = clean(r.Refused.Cause.Error())
		}
	}
	s.describe(&r.record, r)
	r.record.Verdict, r.record.Status = verdict(r.Refused, code), uint32(code)
	r.record.Duration = max(s.recorder.since(r.record.Time), 0)
	if r.record.Backend == "" { // it went nowhere
		r.record.Overhead = r.record.Duration
	}
	if r.Approval != nil {
		r.record.Overhead -= r.Approval.Waited
	}
	r.record.Overhead = max(r.record.Overhead, 0)
	// The last answer ended the request; a refusal and the stream's end broke it off.
	return s.recorder.keep(s.ctx, r.capture, !s.over && r.Refused == nil, nil, &r.record, r.intended, s.call)
}

// describe writes what is known of a request.
func (s *stream) describe(record *audit.Record, r *message) {
	who(record, s.call)
	record.Kind, record.Verb, record.Model = audit.KindMessage, verbOf(r.Verb), clean(r.Model)
	if record.Request == "" {
		record.Request = clean(r.ID)
	}
	why := reasons{r.Decision, r.Guard, r.WouldHave, r.Approval, r.Refused}
	why.fill(record)
}

// close writes what is still open, and the stream itself.
func (s *stream) close(ctx context.Context, code codes.Code, cause string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	var unwritten error
	for _, r := range s.open {
		if err := s.finish(r, code); unwritten == nil {
			unwritten = err
		}
	}
	s.open = nil
	if s.reading != nil { // what ended the stream kept it from going on
		if s.reading.Refused == nil {
			s.reading.Refused = s.call.Refused
		}
		_ = s.finish(s.reading, code)
	}
	record := &s.total
	fill(record, s.call)
	record.Duration = s.recorder.since(s.call.Opened)
	record.Verdict, record.Status, record.Cause = verdict(s.call.Refused, code), uint32(code), clean(cause)
	_ = s.recorder.keep(ctx, nil, true, s.call.Marks, record, false, s.call) // whose request each mark is of is not told
	return unwritten
}
