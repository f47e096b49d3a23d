// Package record writes down each call and each refusal, with its identity: a
// record for the audit log, and a structured line for the process's own log. It is
// opened outermost and written when everything inside has spoken; the step
// [Intent] stands inside of all that decides. Neither record nor line holds a
// payload, a token or a metadata value.
package record

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/wire"
)

// Recorder is the step. It is safe for concurrent use.
type Recorder struct {
	Log *slog.Logger
	// Audit takes the records; nil where nothing is recorded.
	Audit *audit.Recorder
	// Payloads keeps what is said; nil keeps nothing.
	Payloads *payload.Keeper
	// Mask masks what a caller has chosen of a record's words, by the rules about the
	// model that he names; nil masks nothing. It asks nobody and is fast.
	Mask func(model, text string) string
	// Now is the clock; time.Now if nil.
	Now func() time.Time

	signatures signatures
}

// Step returns the interceptor's two forms.
func (r *Recorder) Step() interceptors.Step {
	return interceptors.Step{Name: interceptors.Record, Unary: r.unary, Stream: r.stream}
}

func (r *Recorder) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	call := access.CallFrom(ctx)
	var o *open
	if r.Audit != nil {
		o = &open{recorder: r, call: call}
		call.Intent = o.intend
		ctx = context.WithValue(ctx, openKey{}, o)
	}
	panicked := true
	defer func() {
		code, cause := r.close(ctx, call, err, panicked)
		if o == nil {
			return
		}
		o.unasked(req)
		o.answered(resp)
		o.failed(err)
		if unwritten := o.close(ctx, code, cause); unwritten != nil && !panicked {
			if m, ok := resp.(*wire.Message); ok && err == nil {
				m.Free()
			}
			resp, err = nil, unwritten
		}
	}()
	resp, err = handler(ctx, req)
	panicked = false
	return resp, err
}

func (r *Recorder) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	ctx := ss.Context()
	call := access.CallFrom(ctx)
	count := call.OnMessage
	var s *stream
	if r.Audit != nil {
		s = newStream(ss, r, call)
		ctx, ss = s.ctx, s
	}
	call.OnMessage = func(m access.Message) {
		if count != nil {
			count(m)
		}
		r.message(ctx, call, m)
		if s != nil {
			s.decided(m)
		}
	}
	panicked := true
	defer func() {
		code, cause := r.close(ctx, call, err, panicked)
		if s == nil {
			return
		}
		s.failed(err)
		if unwritten := s.close(ctx, code, cause); unwritten != nil && !panicked && err == nil {
			err = unwritten
		}
	}()
	err = handler(srv, ss)
	panicked = false
	return err
}

// close writes the call's line, and tells how the call ended: the code, and for the
// record alone why. A refusal is a warning, so that it is seen where calls are not.
func (r *Recorder) close(ctx context.Context, call *access.Call, err error, panicked bool) (code codes.Code, cause string) {
	if panicked {
		err = interceptors.ErrInternal
	}
	call.Note(err)
	code = status.Code(interceptors.ToStatus(err))
	switch _, foreign := err.(interface{ GRPCStatus() *status.Status }); {
	case call.Refused != nil && call.Refused.Cause != nil:
		cause = call.Refused.Cause.Error()
	case call.Refused == nil && code == codes.Internal && !foreign:
		cause = err.Error() // a backend's own text stays out: it may quote the payload
	}
	r.line(ctx, call, code, cause)
	return code, cause
}

func (r *Recorder) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *Recorder) since(t time.Time) time.Duration { return r.now().Sub(t) }
