package masking

import (
	"slices"
	"sync"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

func (g *Gate) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if info.FullMethod != inference.GRPCInferenceService_ModelStreamInfer_FullMethodName {
		return handler(srv, ss)
	}
	s := &stream{ServerStream: ss, gate: g, call: access.CallFrom(ss.Context())}
	err := handler(srv, s)
	err = s.masked(err)
	setTrailer(s.call, ss.SetTrailer)
	return err
}

// stream follows the requests that have a plan, and those that a step around this
// one follows: each answer leaves with that step's follower attached, and [wire.End]
// goes out to it. RecvMsg is for one goroutine
// and SendMsg for another, as on any stream.
type stream struct {
	grpc.ServerStream
	gate *Gate
	call *access.Call

	mu    sync.Mutex      // the reader may go on when the handler has returned
	plans []*masking.Plan // those that requests of this stream had
}

// maxPlans bounds for how many plans an error that ends the stream is masked; a
// stream that has had more gets the gateway's own words.
const maxPlans = 64

// request is one followed request.
type request struct {
	outer     wire.Follower // of a step around this one; nil for none
	plan      *masking.Plan // nil where only that step follows
	answers   *masking.Answers
	id, model string
	decoupled bool
	refused   bool // an answer could not be masked: the others are not sent
}

// hearer is a follower of a step around this one that wants to know what masking
// found in its request's answers.
type hearer interface{ Masked(access.Found) }

// Decoupled tells whether the request may have any number of answers.
func (r *request) Decoupled() bool { return r.decoupled }

// RecvMsg reads the next request. One whose answers could not be masked is an
// [access.MessageError].
func (s *stream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	message, ok := m.(*wire.Message)
	if !ok {
		return interceptors.ErrNoRequest
	}
	view, err := message.InferRequest()
	if err != nil {
		return err
	}
	model := view.ModelName().String()
	plan := s.gate.Engine.Plan(s.call.Principal, model)
	if plan == nil {
		s.pass(message, view)
		return nil
	}
	id := view.ID().String()
	facts := s.gate.facts(s.Context(), model, view.ModelVersion().String())
	if refused := plan.Request(view, facts); refused != nil {
		if s.call.OnMessage != nil {
			s.call.OnMessage(access.Message{ID: id, Verb: access.Infer, Model: model, Refused: refused})
		}
		return &access.MessageError{ID: id, Err: refused}
	}
	s.remember(plan)
	expect(message.Follower(), facts)
	answers := plan.Answers(facts)
	answers.Counts().Found = s.gate.marks(s.call)
	message.Follow(&request{outer: message.Follower(), plan: plan, answers: answers, id: id, model: model, decoupled: facts.Decoupled})
	return nil
}

// pass has a request followed whose answers are not masked, if a step around this
// one wants to know them: what it attached is attached to each answer as it
// leaves. That must change nothing for the client, so a request is left alone of
// which it isn't known how it is answered, or which being followed would refuse.
func (s *stream) pass(m *wire.Message, view wire.InferRequest) {
	outer := m.Follower()
	if outer == nil {
		return
	}
	facts, err := s.gate.Facts(s.Context(), view.ModelName().String(), view.ModelVersion().String())
	if err != nil || facts.Decoupled && view.Parameters().Has(sequenceKey) {
		m.Follow(nil)
		return
	}
	expect(outer, facts)
	m.Follow(&request{outer: outer, decoupled: facts.Decoupled})
}

// expect tells a step's follower whether its request may have several answers, if
// it wants to know.
func expect(outer wire.Follower, facts masking.Facts) {
	if f, ok := outer.(interface{ Expect(decoupled bool) }); ok {
		f.Expect(facts.Decoupled)
	}
}

// sequenceKey makes a request part of a sequence.
const sequenceKey = "sequence_id"

// remember notes the plan of a request that goes on.
func (s *stream) remember(plan *masking.Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.plans, plan) && len(s.plans) <= maxPlans {
		s.plans = append(s.plans, plan)
	}
}

// SendMsg sends an answer as it may leave. The message stays the caller's.
func (s *stream) SendMsg(m any) error {
	switch m := m.(type) {
	case wire.End:
		if r, ok := m.Follower.(*request); ok {
			if err := s.flush(r); err != nil {
				return err
			}
			return s.end(r)
		}
		return nil
	case *wire.Message:
		if r, ok := m.Follower().(*request); ok {
			return s.answer(r, m)
		}
	}
	return s.ServerStream.SendMsg(m)
}

// end tells the step around this one that a request has no further answer.
func (s *stream) end(r *request) error {
	if r.outer == nil || r.refused {
		return nil
	}
	return s.ServerStream.SendMsg(wire.End{Follower: r.outer})
}

// count adds what was found in an answer.
func (s *stream) count(r *request, counts *masking.Counts) {
	hear, _ := r.outer.(hearer)
	count(s.call, r.model, counts, hear)
}

// answer sends one answer of a followed request, and before it what was held
// back and has no place in it.
func (s *stream) answer(r *request, m *wire.Message) error {
	if r.refused {
		return nil
	}
	if r.plan == nil {
		m.Follow(r.outer)
		return s.ServerStream.SendMsg(m)
	}
	before, out, refused := r.answers.Mask(s.Context(), m)
	s.count(r, r.answers.Counts())
	if refused != nil {
		return s.refuse(r, refused)
	}
	if out != m {
		defer out.Free()
	}
	if err := s.held(r, before); err != nil {
		return err
	}
	out.Follow(r.outer)
	return s.ServerStream.SendMsg(out)
}

// flush sends what is held of a request that has no further answer.
func (s *stream) flush(r *request) error {
	if r.refused || r.plan == nil {
		return nil
	}
	out, refused := r.answers.Flush(s.Context())
	s.count(r, r.answers.Counts())
	if refused != nil {
		return s.refuse(r, refused)
	}
	return s.held(r, out)
}

// held sends an answer that was made of what was held back, if there is one.
func (s *stream) held(r *request, m *wire.Message) error {
	if m == nil {
		return nil
	}
	defer m.Free()
	m.Follow(r.outer)
	return s.ServerStream.SendMsg(m)
}

// refuse refuses an answer that must not leave, and all further ones of its
// request. The relay sends the refusal in the answer's place.
func (s *stream) refuse(r *request, refused *access.Error) error {
	if err := s.end(r); err != nil {
		return err
	}
	r.refused = true
	if s.call.OnMessage != nil {
		s.call.OnMessage(access.Message{ID: r.id, Verb: access.Infer, Model: r.model, Refused: refused})
	}
	return &access.MessageError{ID: r.id, Err: refused}
}

// masked masks the error that ends the stream, which may be any request's.
func (s *stream) masked(err error) error {
	s.mu.Lock()
	plans := slices.Clone(s.plans)
	s.mu.Unlock()
	if err == nil || len(plans) == 0 {
		return err
	}
	if _, own := access.AsError(err); !own && len(plans) > maxPlans {
		return interceptors.ErrInternal
	}
	var counts masking.Counts
	for _, plan := range plans {
		err = masked(s.Context(), plan, err, &counts)
	}
	count(s.call, "", &counts, nil)
	return err
}
