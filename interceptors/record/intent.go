package record

import (
	"context"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/wire"
)

// Intent returns the step that stands inside of all that decides: it has the
// record written of what must not be done unrecorded, before it is done, and looks
// at the request while it is there.
func Intent() interceptors.Step {
	return interceptors.Step{Name: interceptors.Intent, Unary: intentUnary, Stream: intentStream}
}

func intentUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if o, ok := ctx.Value(openKey{}).(*open); ok {
		if r, ok := req.(*wire.Request); ok {
			o.asked(r)
		}
	}
	if call := access.CallFrom(ctx); call.Intent != nil {
		if err := call.Intent(ctx); err != nil {
			return nil, err
		}
	}
	return handler(ctx, req)
}

func intentStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	call := access.CallFrom(ss.Context())
	if call.Intent == nil {
		return handler(srv, ss)
	}
	s, _ := ss.Context().Value(openKey{}).(*stream)
	return handler(srv, &intending{ServerStream: ss, call: call, of: s})
}

// intending has each message of a stream written down before it goes on.
type intending struct {
	grpc.ServerStream
	call *access.Call
	of   *stream // nil where only a test listens
}

// RecvMsg reads the next request. One that can't be recorded is an
// [access.MessageError]: it goes no further, and the stream goes on.
func (s *intending) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	id := ""
	if message, ok := m.(*wire.Message); ok && s.of != nil {
		id = s.of.asked(message)
	}
	err := s.call.Intent(s.Context())
	if refused, own := access.AsError(err); own && err != nil && (s.of == nil || s.of.reads()) {
		if s.call.OnMessage != nil && s.of != nil {
			s.call.OnMessage(access.Message{ID: id, Verb: access.Infer, Model: s.of.model(), Refused: refused})
		}
		return &access.MessageError{ID: id, Err: refused}
	}
	return err
}

type openKey struct{}
