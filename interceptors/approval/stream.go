package approval

import (
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/wire"
)

func (g *Gate) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	call := access.CallFrom(ss.Context())
	s := &stream{ServerStream: ss, gate: g, call: call, info: info}
	if info.FullMethod == inference.GRPCInferenceService_ModelStreamInfer_FullMethodName {
		return handler(srv, s)
	}
	if call.Granted != nil {
		call.Approval = call.Granted
		s.use(call.Granted)
	}
	if len(call.Needs) == 0 {
		return handler(srv, s)
	}
	// Opening such a stream is all that it asks for; there is no content.
	ask := g.ask(call, call.Verb, "", "", call.Needs)
	approved, err := g.admit(ss.Context(), ask)
	call.Approval = approval.Merge(call.Granted, approved)
	if err != nil {
		return err
	}
	s.use(approved)
	return handler(srv, s)
}

// stream holds each message that needs approval when it is read. RecvMsg is for
// one goroutine and SendMsg for another, as on any stream.
type stream struct {
	grpc.ServerStream
	gate *Gate
	call *access.Call
	info *grpc.StreamServerInfo

	used map[string]bool // the grants that its messages have used; the reader's
	// revoked tell whether one of them is revoked; nil while there is none.
	revoked atomic.Pointer[[]func() bool]
}

// RecvMsg reads the next request, and returns when it may go on. One that people
// refuse, or that can't wait for them, is an [access.MessageError]. The message
// stays the caller's to free, whatever the error.
func (s *stream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if err := s.cut(); err != nil {
		return err
	}
	needs, granted := s.call.Needs, s.call.Granted
	if granted != nil {
		s.use(granted)
	}
	if len(needs) == 0 {
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
	told := access.Message{ID: view.ID().String(), Verb: access.Infer, Model: view.ModelName().String(), Guard: needs[0].Guard}
	ask := s.gate.ask(s.call, access.Infer, told.Model, view.ModelVersion().String(), needs)
	mask := s.gate.mask(s.Context(), told.Model)
	ask.Recheck = func() ([]*access.Need, error) {
		needs, err := s.gate.againMessage(s.ServerStream, s.call, message, s.info)
		if err != nil {
			return nil, err
		}
		return needs, s.gate.anew(ask, needs, message, mask)
	}
	err = content(ask, needs, message, mask)
	if err == nil {
		told.Approval, err = s.gate.admit(s.Context(), ask)
	}
	if ended := s.Context().Err(); ended != nil {
		return ended // the call is the record's by now
	}
	return s.told(told, granted, err)
}

// told tells what became of a message that needed approval.
func (s *stream) told(m access.Message, granted *access.Approval, err error) error {
	refused, ours := access.AsError(err)
	if err != nil && !ours {
		return err
	}
	if m.Approval != nil && err == nil {
		s.use(m.Approval)
	}
	m.Approval, m.Refused = approval.Merge(granted, m.Approval), refused
	if refused == nil {
		s.call.Granted = m.Approval // for what opens a credential for it
	}
	if s.call.OnMessage != nil {
		s.call.OnMessage(m)
	}
	if refused != nil {
		return &access.MessageError{ID: m.ID, Err: refused}
	}
	return nil
}

// SendMsg sends an answer, unless a grant that the stream goes by was revoked.
func (s *stream) SendMsg(m any) error {
	if err := s.cut(); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// use notes the grants that let something of the stream through.
func (s *stream) use(a *access.Approval) {
	if s.gate.Engine == nil || s.used[a.Grant] {
		return
	}
	if s.used == nil {
		s.used = make(map[string]bool)
	}
	s.used[a.Grant] = true
	var all []func() bool
	if before := s.revoked.Load(); before != nil {
		all = append(all, *before...)
	}
	for _, id := range approval.Split(a.Grant) {
		if revoked := s.gate.Engine.Revoked(id); revoked != nil {
			all = append(all, revoked)
		}
	}
	s.revoked.Store(&all)
}

// cut ends the stream once a grant that it goes by was revoked.
func (s *stream) cut() error {
	all := s.revoked.Load()
	if all == nil {
		return nil
	}
	for _, revoked := range *all {
		if revoked() {
			return &access.Error{
				Kind: access.PermissionDenied, Reason: access.ReasonGrantRevoked,
				Message: "the grant by which this stream goes on was revoked; what is asked for has to be approved again",
			}
		}
	}
	return nil
}
