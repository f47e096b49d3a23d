package guards

import (
	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/policy/guard"
	"github.com/sluice-gateway/sluice/wire"
)

func (g *Gate) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	call := access.CallFrom(ss.Context())
	if info.FullMethod == inference.GRPCInferenceService_ModelStreamInfer_FullMethodName {
		return handler(srv, &stream{ServerStream: ss, gate: g, call: call})
	}
	if set := g.Engine.For(call.Verb, ""); set != nil {
		asked := g.request(call)
		asked.Verb = call.Verb
		v := set.Decide(asked)
		call.Guard, call.WouldHave, call.Needs = v.Guard, v.WouldHave, v.Needs
		tell(call, v)
		if v.Refused != nil {
			return v.Refused
		}
	}
	return handler(srv, ss)
}

// stream asks about each message as it is read. Of the call it writes what the
// step inside reads on the same goroutine, and nothing that the record reads when
// the handler has returned: the reader may go on then.
type stream struct {
	grpc.ServerStream
	gate  *Gate
	call  *access.Call
	model string // of the last message: most streams have one model, whose name is copied once
}

// RecvMsg reads the next request. One that a guard denies is an
// [access.MessageError]: the stream goes on. The message stays the caller's.
func (s *stream) RecvMsg(m any) error {
	s.call.Needs = nil
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	policy := s.gate.Engine.Policy()
	if policy.For(access.Infer, "") == nil {
		return nil
	}
	message, ok := m.(*wire.Message)
	if !ok {
		return interceptors.ErrNoRequest
	}
	view, err := message.InferRequest()
	if err != nil {
		return err
	}
	if !view.ModelName().Is(s.model) {
		s.model = view.ModelName().String()
	}
	set := policy.For(access.Infer, s.model)
	if set == nil {
		return nil
	}
	return s.ask(set, message, view)
}

// ask asks the guards about one message.
func (s *stream) ask(set *guard.Set, message *wire.Message, view wire.InferRequest) error {
	model := s.model
	asked := s.gate.request(s.call)
	asked.Verb, asked.Model, asked.Version = access.Infer, model, view.ModelVersion().String()
	asked.Size, asked.Infer = message.Len(), &view
	v := set.Decide(asked)
	s.call.Needs = v.Needs
	tell(s.call, v)
	if v.Refused == nil {
		if len(v.WouldHave) > 0 && s.call.OnMessage != nil {
			s.call.OnMessage(access.Message{ID: view.ID().String(), Verb: access.Infer, Model: model, WouldHave: v.WouldHave})
		}
		return nil
	}
	id := view.ID().String()
	if s.call.OnMessage != nil {
		s.call.OnMessage(access.Message{ID: id, Verb: access.Infer, Model: model, Refused: v.Refused, Guard: v.Guard, WouldHave: v.WouldHave})
	}
	return &access.MessageError{ID: id, Err: v.Refused}
}
