package record

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/wire"
)

// keep hands a finished record over, with what was said in its call. A record that
// is waited for waits for its payload too; another one follows its payload. marks are
// of what was masked on the way, before it could be captured.
func (r *Recorder) keep(ctx context.Context, c *payload.Capture, ended bool, marks []uint64, record *audit.Record, wait bool, call *access.Call) error {
	c.Marks(marks)
	if c == nil {
		said := r.Payloads.Marked(marks)
		record.Payload = said.Ref
		return r.put(ctx, call, record, said.Payload, wait)
	}
	if wait {
		said := c.Seal(context.WithoutCancel(ctx), ended)
		record.Payload = said.Ref
		return r.put(ctx, call, record, said.Payload, true)
	}
	c.Close(ended, func(said payload.Sealed) {
		record.Payload = said.Ref
		_ = r.put(ctx, call, record, said.Payload, false) // which does not fail where nobody waits
	})
	return nil
}

// mask masks the words of a record that its caller or a model chose: a value can stand
// in a request's id and in the name or the datatype of a tensor as well as in its text,
// and in what is said of a request that could not be read as far as its model's name.
func (r *Recorder) mask(record *audit.Record) {
	if r.Mask == nil {
		return
	}
	model := record.Model
	for _, text := range []*string{&record.Request, &record.AskedVersion, &record.Version, &record.Model, &record.Cause} {
		if *text != "" {
			*text = r.Mask(model, *text)
		}
	}
	record.Inputs, record.Outputs = r.maskTensors(model, record.Inputs), r.maskTensors(model, record.Outputs)
}

// maskTensors masks what tensors are called. Records share them: those that change are
// copied.
func (r *Recorder) maskTensors(model string, tensors []audit.Tensor) []audit.Tensor {
	copied := false
	for i, t := range tensors {
		name, typ := r.Mask(model, t.Name), t.Datatype
		if wire.ParseDatatype(typ) == wire.UnknownType {
			typ = r.Mask(model, typ)
		}
		if name == t.Name && typ == t.Datatype {
			continue
		}
		if !copied {
			tensors, copied = slices.Clone(tensors), true
		}
		tensors[i].Name, tensors[i].Datatype = name, typ
	}
	return tensors
}

// say notes a unary request.
func (o *open) say(m *wire.Message) {
	if o.call.RPC == "ModelInfer" {
		o.capture.Request(m)
		return
	}
	o.capture.OtherMessage("inference."+o.call.RPC+"Request", m)
}

// failed notes the words that the call ends with.
func (o *open) failed(err error) {
	if o.capture != nil && err != nil {
		o.capture.Failure(words(err))
	}
}

// words are those of an error as they leave.
func words(err error) string { return status.Convert(interceptors.ToStatus(err)).Message() }

// Decoupled is the follower's: masking, which stands inside and knows the model,
// answers in its place.
func (r *message) Decoupled() bool { return r.decoupled.Load() }

// Expect tells whether the request may have several answers.
func (r *message) Expect(decoupled bool) { r.decoupled.Store(decoupled) }

// follow begins to capture a request, and has its answers attributed to it.
func (s *stream) follow(r *message, m *wire.Message) {
	r.capture = s.recorder.Payloads.Begin(r.Model, r.Verb, s.session(), r.record.Time)
	if r.capture != nil {
		r.capture.Request(m)
		m.Follow(r)
	}
}

// session is what payloads are sampled by: a stream's are kept together.
func (s *stream) session() string {
	if s.call.Session != "" {
		return s.call.Session
	}
	return s.call.ID
}

// said notes an answer. One that is this request's by its id alone could be
// another's: then nothing of the request is kept.
func (r *message) said(m *wire.Message, followed bool, now time.Time) {
	if !followed {
		r.capture.Drop()
	}
	r.capture.Stream(m, now)
}

// ended hears that a request has no further answer.
func (s *stream) ended(end wire.End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, _ := end.Follower.(*message)
	if i := slices.Index(s.open, r); i >= 0 {
		s.open = slices.Delete(s.open, i, i+1)
		_ = s.finish(r, codes.OK) // its last answer has left
	}
}

// failed notes the words that the stream ends with, on the requests that are open.
func (s *stream) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.open {
		if err != nil && r.capture != nil {
			r.capture.Failure(words(err))
		}
	}
}
