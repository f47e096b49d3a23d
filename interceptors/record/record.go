// Package record writes down each call and each refusal, with its identity:
// one structured log line, opened outermost and written when everything inside
// has spoken. It never holds a payload, a token or a metadata value.
package record

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors"
)

// maxName is how many bytes of a name that a caller chose go into a line.
const maxName = 256

// Recorder is the step. It is safe for concurrent use.
type Recorder struct {
	Log *slog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Step returns the interceptor's two forms.
func (r *Recorder) Step() interceptors.Step {
	return interceptors.Step{Name: interceptors.Record, Unary: r.unary, Stream: r.stream}
}

func (r *Recorder) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	call := access.CallFrom(ctx)
	panicked := true
	defer func() { r.close(ctx, call, err, panicked) }()
	resp, err = handler(ctx, req)
	panicked = false
	return resp, err
}

func (r *Recorder) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	ctx := ss.Context()
	call := access.CallFrom(ctx)
	count := call.OnMessage
	call.OnMessage = func(m access.Message) {
		if count != nil {
			count(m)
		}
		r.message(ctx, call, m)
	}
	panicked := true
	defer func() { r.close(ctx, call, err, panicked) }()
	err = handler(srv, ss)
	panicked = false
	return err
}

// close writes the call's line. A refusal is a warning, so that it is seen
// where calls are not.
func (r *Recorder) close(ctx context.Context, call *access.Call, err error, panicked bool) {
	if panicked {
		err = interceptors.ErrInternal
	}
	call.Note(err)
	code := status.Code(interceptors.ToStatus(err))
	level := slog.LevelInfo
	if call.Refused != nil || code == codes.Internal {
		level = slog.LevelWarn
	}
	if !r.Log.Enabled(ctx, level) {
		return
	}
	var room [maxAttrs]slog.Attr
	attrs := append(room[:0], slog.String("id", call.ID), slog.String("rpc", call.RPC), slog.String("door", call.Door))
	if call.Peer.IsValid() {
		attrs = append(attrs, slog.String("peer", call.Peer.String()))
	}
	attrs = subject(principal(attrs, call.Principal), call.Verb, call.Model)
	if call.Backend != "" {
		attrs = append(attrs, slog.String("backend", call.Backend))
	}
	attrs = append(attrs, slog.String("verdict", call.Verdict(code == codes.OK)))
	if len(call.Masked) > 0 {
		attrs = append(attrs, slog.Any("masked", call.Masked))
	}
	if len(call.Observed) > 0 {
		attrs = append(attrs, slog.Any("observed", call.Observed))
	}
	attrs = append(why(attrs, call.Decision, call.Refused), slog.String("code", code.String()), slog.Duration("took", r.since(call.Opened)))
	if _, foreign := err.(interface{ GRPCStatus() *status.Status }); call.Refused == nil && code == codes.Internal && !foreign {
		// A backend's own text stays out of the log: it may quote the payload.
		attrs = append(attrs, slog.String("cause", clip(err.Error())))
	}
	r.Log.LogAttrs(ctx, level, "call", attrs...)
}

// maxAttrs is how many attributes a line has at most.
const maxAttrs = 20

// message writes the line of one request inside a stream.
func (r *Recorder) message(ctx context.Context, call *access.Call, m access.Message) {
	level := slog.LevelInfo
	if m.Refused != nil {
		level = slog.LevelWarn
	}
	if !r.Log.Enabled(ctx, level) {
		return
	}
	var room [maxAttrs]slog.Attr
	attrs := append(room[:0], slog.String("id", call.ID), slog.String("rpc", call.RPC), slog.String("request", clip(m.ID)))
	attrs = subject(principal(attrs, call.Principal), m.Verb, m.Model)
	attrs = why(append(attrs, slog.String("verdict", m.Verdict())), m.Decision, m.Refused)
	r.Log.LogAttrs(ctx, level, "message", attrs...)
}

func principal(attrs []slog.Attr, p *access.Principal) []slog.Attr {
	if p == nil {
		return attrs
	}
	return append(attrs, slog.String("principal", clip(p.ID())), slog.String("name", clip(p.Name)), slog.String("kind", string(p.Kind)))
}

func subject(attrs []slog.Attr, v access.Verb, model string) []slog.Attr {
	attrs = append(attrs, slog.String("verb", v.String()))
	if model != "" {
		attrs = append(attrs, slog.String("model", clip(model)))
	}
	return attrs
}

// why is what the caller does not get to see: the rule, and the cause.
func why(attrs []slog.Attr, d access.Decision, refused *access.Error) []slog.Attr {
	if d.Rule != "" {
		attrs = append(attrs, slog.String("rule", d.Rule))
	}
	if refused != nil {
		attrs = append(attrs, slog.String("reason", refused.Reason))
		if refused.Cause != nil {
			attrs = append(attrs, slog.String("cause", clip(refused.Cause.Error())))
		}
	}
	return attrs
}

func (r *Recorder) since(t time.Time) time.Duration {
	if r.Now != nil {
		return r.Now().Sub(t)
	}
	return time.Since(t)
}

// clip bounds what a caller or another server can put into a line.
func clip(s string) string {
	if len(s) <= maxName {
		return s
	}
	return s[:maxName] + "…"
}
