package record

import (
	"context"
	"log/slog"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/access"
)

// maxName is how many bytes of a name that a caller chose go into a line.
const maxName = 256

// line writes the line of a call.
func (r *Recorder) line(ctx context.Context, call *access.Call, code codes.Code, cause string) {
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
	attrs = subject(principal(attrs, call.Principal), call.Verb, r.named(call.Model, call.Refused == nil && code == codes.OK))
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
	attrs = approved(attrs, call.Guard, call.Approval)
	attrs = append(r.why(attrs, call.Decision, call.Refused, call.Model), slog.String("code", code.String()), slog.Duration("took", r.since(call.Opened)))
	if cause != "" && call.Refused == nil {
		attrs = append(attrs, slog.String("cause", clip(r.masked(call.Model, cause))))
	}
	r.Log.LogAttrs(ctx, level, "call", attrs...)
}

// maxAttrs is how many attributes a line has at most.
const maxAttrs = 24

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
	attrs := append(room[:0], slog.String("id", call.ID), slog.String("rpc", call.RPC), slog.String("request", clip(r.masked(m.Model, clean(m.ID)))))
	attrs = subject(principal(attrs, call.Principal), m.Verb, r.named(m.Model, m.Refused == nil))
	attrs = approved(append(attrs, slog.String("verdict", m.Verdict())), m.Guard, m.Approval)
	attrs = r.why(attrs, m.Decision, m.Refused, m.Model)
	r.Log.LogAttrs(ctx, level, "message", attrs...)
}

// approved is the guard that asked, and what people said to it.
func approved(attrs []slog.Attr, guard string, a *access.Approval) []slog.Attr {
	if guard != "" {
		attrs = append(attrs, slog.String("guard", guard))
	}
	if a == nil {
		return attrs
	}
	if a.Request != "" {
		attrs = append(attrs, slog.String("approval", a.Request))
	}
	if a.Grant != "" {
		attrs = append(attrs, slog.String("grant", a.Grant))
	}
	if a.BreakGlass {
		attrs = append(attrs, slog.Bool("break_glass", true))
	}
	return attrs
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
func (r *Recorder) why(attrs []slog.Attr, d access.Decision, refused *access.Error, model string) []slog.Attr {
	if d.Rule != "" {
		attrs = append(attrs, slog.String("rule", d.Rule))
	}
	if refused != nil {
		attrs = append(attrs, slog.String("reason", refused.Reason))
		if refused.Cause != nil {
			attrs = append(attrs, slog.String("cause", clip(r.masked(model, clean(refused.Cause.Error())))))
		}
	}
	return attrs
}

// masked is a text that a caller may have chosen, without the values in it.
func (r *Recorder) masked(model, text string) string {
	if r.Mask == nil || text == "" {
		return text
	}
	return r.Mask(model, text)
}

// named is a model's name; one that no model may have could be any text.
func (r *Recorder) named(model string, answered bool) string {
	if answered {
		return model
	}
	return r.masked(model, clean(model))
}

// clip bounds what a caller or another server can put into a line.
func clip(s string) string {
	if len(s) <= maxName {
		return s
	}
	return s[:maxName] + "…"
}
