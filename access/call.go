package access

import (
	"context"
	"net/netip"
	"time"
)

// Decision is what policy said about one verb on one model.
type Decision struct {
	Allowed bool
	// Reason is one of the public reasons where not allowed, "" where allowed.
	Reason string
	// Rule names what decided ("role model-viewer", "no role allows it") for
	// the record; the caller does not get to see it.
	Rule string
}

// Call is one call on its way: made outermost, filled in by each step, read
// by the record when it closes. On a stream it describes the stream, and
// [Call.OnMessage] hears of each message. One goroutine at a time writes to it:
// the steps run one inside the other.
type Call struct {
	// ID is the request id that logs and refusals show.
	ID     string
	RPC    string // "ModelInfer"
	Door   string // "grpc", "rest"
	Peer   netip.Addr
	Opened time.Time

	Principal *Principal // nil until identity has spoken
	Verb      Verb
	Model     string
	Version   string
	Backend   string
	Decision  Decision
	// Refused is the refusal that ended the call, if Sluice itself ended it.
	Refused *Error

	// OnMessage, if set, hears each decision on a message of a stream. It is
	// called by the goroutine that reads the stream's requests.
	OnMessage func(Message)
}

// Message is the decision about one message of a stream.
type Message struct {
	ID       string
	Verb     Verb
	Model    string
	Decision Decision
	Refused  *Error
}

type callKey struct{}

// WithCall returns a context that carries c.
func WithCall(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallFrom returns the context's call, or nil outside of one.
func CallFrom(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}
