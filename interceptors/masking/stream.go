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

// stream follows the requests that have a plan. RecvMsg is for one goroutine
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
	plan      *masking.Plan
	answers   *masking.Answers
	id, model string
	decoupled bool
	refused   bool // an answer could not be masked: the others are not sent
}

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
	message.Follow(&request{plan: plan, answers: plan.Answers(facts), id: id, model: model, decoupled: facts.Decoupled})
	return nil
}

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
			return s.flush(r)
		}
		return nil
	case *wire.Message:
		if r, ok := m.Follower().(*request); ok {
			return s.answer(r, m)
		}
	}
	return s.ServerStream.SendMsg(m)
}

// answer sends one answer of a followed request, and before it what was held
// back and has no place in it.
func (s *stream) answer(r *request, m *wire.Message) error {
	if r.refused {
		return nil
	}
	before, out, refused := r.answers.Mask(s.Context(), m)
	count(s.call, r.model, r.answers.Counts())
	if refused != nil {
		return s.refuse(r, refused)
	}
	if out != m {
		defer out.Free()
	}
	if err := s.held(before); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(out)
}

// flush sends what is held of a request that has no further answer.
func (s *stream) flush(r *request) error {
	if r.refused {
		return nil
	}
	out, refused := r.answers.Flush(s.Context())
	count(s.call, r.model, r.answers.Counts())
	if refused != nil {
		return s.refuse(r, refused)
	}
	return s.held(out)
}

// held sends an answer that was made of what was held back, if there is one.
func (s *stream) held(m *wire.Message) error {
	if m == nil {
		return nil
	}
	defer m.Free()
	return s.ServerStream.SendMsg(m)
}

// refuse refuses an answer that must not leave, and all further ones of its
// request. The relay sends the refusal in the answer's place.
func (s *stream) refuse(r *request, refused *access.Error) error {
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
	count(s.call, "", &counts)
	return err
}
