package rest

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/rest/inprocess"
	"github.com/sluice-gateway/sluice/wire"
)

// generation is the answers of a stream on their way out: of …/generate_stream
// each at once, as a Server-Sent Event; of …/generate the only one at the end,
// when it is known to be that. The first answer decides on the status.
type generation struct {
	x         *exchange
	stream    *inprocess.Stream
	streaming bool
	page      *dialect.Page
	generated dialect.Generated
	answers   int
	unsent    bool          // events are in the page
	only      *wire.Message // the first answer of …/generate
	wrong     *dialect.Error
}

// run sends the answers as they come.
func (g *generation) run() {
	pool := g.x.door.opts.Pool
	buf := pool.Get(dialect.PageSize)
	defer pool.Put(buf)
	g.page = dialect.NewPage(*buf, func(b []byte) error { _, err := g.x.Write(b); return err })
	var err error
	for err == nil {
		var m *wire.Message
		if m, err = g.next(); err == nil {
			err = g.one(m)
			if m != g.only {
				m.Free()
			}
		}
	}
	g.end(err)
	if g.only != nil {
		g.only.Free()
	}
}

// next is the next answer. Before it is waited for, those that are written are
// sent: each as soon as there is no other behind it.
func (g *generation) next() (*wire.Message, error) {
	if m := g.stream.Ready(); m != nil {
		return m, nil
	}
	if err := g.send(); err != nil {
		return nil, err
	}
	return g.stream.Next()
}

// send sends the events that are written.
func (g *generation) send() error {
	if !g.unsent {
		return nil
	}
	g.unsent = false
	if err := g.page.Send(); err != nil {
		return err
	}
	return g.x.flush()
}

// one takes one answer. Its error ends the stream.
func (g *generation) one(m *wire.Message) error {
	err := g.generated.Scan(m)
	var wrong *dialect.Error
	switch {
	case errors.As(err, &wrong):
		return g.fault(wrong)
	case err != nil:
		return err
	case g.generated.Failure() != "":
		return g.failure()
	case g.generated.Empty():
		return nil
	}
	g.answers++
	if g.streaming {
		g.event(http.StatusOK)
		_ = g.generated.JSON(g.page)
		g.page.EndEvent()
		return g.page.Err()
	}
	if g.answers == 1 {
		g.only = m
	}
	return nil
}

// fault takes an error as the answer that it is.
func (g *generation) fault(wrong *dialect.Error) error {
	g.answers++
	if g.streaming {
		g.event(wrong.Status)
		g.page.Error(wrong.Text)
		g.page.EndEvent()
		return g.page.Err()
	}
	if g.answers == 1 {
		g.wrong = wrong
	}
	return nil
}

// event begins an event; the first one says with which status.
func (g *generation) event(code int) {
	g.header(code)
	g.unsent = true
	g.page.BeginEvent()
}

// header sends the head of a stream of events, once.
func (g *generation) header(code int) {
	if g.x.wrote {
		return
	}
	g.x.wrote = true
	h := g.x.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache") // for what is between; Triton does not say it
	h.Set("X-Accel-Buffering", "no")
	g.x.WriteHeader(code)
}

// failure takes an error that came in the stream. One that Triton or Sluice made
// before the model ran is answered as it is on …/infer, if it is the first.
func (g *generation) failure() error {
	text := g.generated.Failure()
	if reason := g.generated.Parameter(reasonKey); reason != "" && g.answers == 0 {
		code := statusOfReason(reason)
		g.x.Header().Set(reasonHeader, reason)
		if code == http.StatusUnauthorized {
			g.x.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		}
		return &plainFailure{code, text}
	}
	if !g.generated.Model() && g.answers == 0 {
		return &plainFailure{statusOfText(text), text}
	}
	return g.fault(&dialect.Error{Status: http.StatusInternalServerError, Text: text})
}

// plainFailure is an error that is answered as plain JSON.
type plainFailure struct {
	code int
	text string
}

// Error returns the text.
func (e *plainFailure) Error() string { return e.text }

// end answers what is left when the stream has ended.
func (g *generation) end(err error) {
	var plain *plainFailure
	switch {
	case errors.As(err, &plain):
		g.x.write(plain.code, applicationJSON, plain.text)
		return
	case err != io.EOF && g.answers == 0 && beforeTheModel(g.x, err):
		g.x.fail(err, applicationJSON)
		return
	case err != io.EOF:
		st := status.Convert(err)
		if g.fault(&dialect.Error{Status: statusOf(st.Code()), Text: st.Message()}) != nil {
			return
		}
	}
	if g.streaming {
		g.header(http.StatusOK) // of a body without events, else sent already
		_ = g.send()
		return
	}
	g.finish()
}

// finish answers …/generate.
func (g *generation) finish() {
	h := g.x.Header()
	h.Set("Content-Type", applicationJSON)
	switch {
	case g.wrong != nil && g.answers == 1:
		g.x.write(g.wrong.Status, applicationJSON, g.wrong.Text)
		return
	case g.answers != 1:
		code := http.StatusOK
		if g.wrong != nil {
			code = g.wrong.Status
		}
		g.x.write(code, applicationJSON, notOne)
		return
	}
	if err := g.generated.Scan(g.only); err != nil {
		g.x.failAnswer(err)
		return
	}
	if g.generated.JSON(g.page) == nil {
		_, _ = g.x.Write(g.page.Rest())
	}
}

// beforeTheModel tells whether a status ended the stream before a model ran:
// Sluice's own, or a backend's about the model.
func beforeTheModel(x *exchange, err error) bool {
	st := status.Convert(err)
	for _, d := range st.Details() {
		if _, ours := d.(*errdetails.ErrorInfo); ours {
			return true
		}
	}
	switch st.Code() {
	case codes.NotFound, codes.Unavailable, codes.Unimplemented, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted:
		return true
	}
	return x.failed != nil
}

// reasonKey is the parameter that marks a refusal of Sluice's own in a stream.
const reasonKey = "sluice_reason"

// statusOfReason is the status of a refusal that a stream brings, whose message
// has the reason alone.
func statusOfReason(reason string) int {
	switch reason {
	case access.ReasonTokenMissing, access.ReasonTokenInvalid, access.ReasonTokenExpired:
		return http.StatusUnauthorized
	case access.ReasonInFlight, access.ReasonStreams, access.ReasonApprovalPending:
		return http.StatusTooManyRequests
	case access.ReasonNeedsApproval, access.ReasonApprovalDenied, access.ReasonApprovalExpired,
		access.ReasonApprovalTerms, access.ReasonApprovalVoid, access.ReasonConflict:
		return http.StatusConflict
	case access.ReasonNoBackend:
		return http.StatusNotFound
	case access.ReasonBackendAway, access.ReasonIssuerAway, access.ReasonInterrupted, access.ReasonStoreAway, access.ReasonAuditAway, access.ReasonCredentialAway:
		return http.StatusServiceUnavailable
	case access.ReasonMalformed, access.ReasonModelName, access.ReasonUnsafeForBackend:
		return http.StatusBadRequest
	case access.ReasonUnsupported:
		return http.StatusNotImplemented
	case access.ReasonInternal:
		return http.StatusInternalServerError
	default:
		return http.StatusForbidden
	}
}

// statusOfText is the status of an error that Triton made before the model ran,
// whose code a stream does not bring: nearly all are about the request.
func statusOfText(text string) int {
	switch {
	case strings.HasPrefix(text, "Request for unknown model"):
		return http.StatusNotFound
	case strings.Contains(text, "is shutting down"):
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}
