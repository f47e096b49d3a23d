package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/rest/dialect"
)

// statuses are Triton's for the codes that its errors have
// (protocol/kserve-v2.md, section 4), and those of DESIGN's table for our own.
var statuses = map[codes.Code]int{
	codes.Unknown: http.StatusBadRequest, codes.Internal: http.StatusInternalServerError, codes.NotFound: http.StatusNotFound,
	codes.InvalidArgument: http.StatusBadRequest, codes.Unavailable: http.StatusServiceUnavailable,
	codes.Unimplemented: http.StatusNotImplemented, codes.AlreadyExists: http.StatusBadRequest, codes.Canceled: http.StatusBadRequest,
	codes.Unauthenticated: http.StatusUnauthorized, codes.PermissionDenied: http.StatusForbidden,
	codes.FailedPrecondition: http.StatusConflict, codes.ResourceExhausted: http.StatusTooManyRequests,
	codes.DeadlineExceeded: http.StatusGatewayTimeout,
}

func statusOf(code codes.Code) int {
	if s := statuses[code]; s != 0 {
		return s
	}
	return http.StatusInternalServerError
}

// reasonHeader carries a refusal's stable reason, which gRPC has in its ErrorInfo:
// the body is Triton's, and has the text alone.
const reasonHeader = "Sluice-Reason"

// refuse makes what reading a body failed with an error of the chain's, and
// remembers what Triton answers to it.
func (x *exchange) refuse(err error) error {
	if x.call != nil && !x.call.Stream && x.call.Model == "" {
		x.call.Verb, x.call.Model = About(x.http) // policy gets to see no message that would say so
	}
	var wrong *dialect.Error
	if errors.As(err, &wrong) {
		x.failed = wrong
		return wrong.Refusal()
	}
	if _, ok := access.AsError(err); ok {
		return err
	}
	if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		return err // of a backend that was asked about the model
	}
	if cause := x.http.Context().Err(); cause != nil {
		return cause // the caller has gone
	}
	text := "the request's body can't be read"
	if errors.Is(err, io.ErrUnexpectedEOF) {
		text = "the request's body ends too early"
	}
	return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: text, Cause: err}
}

// answerError is grpc-gateway's way to fail.
func answerError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, _ http.ResponseWriter, _ *http.Request, err error) {
	exchangeOf(ctx).fail(err, applicationJSON)
}

// fail answers an error that the chain returned. contentType is what Triton says
// of errors of this kind.
func (x *exchange) fail(err error, contentType string) {
	st := status.Convert(err)
	code, text := statusOf(st.Code()), st.Message()
	if x.failed != nil && st.Code() == codes.InvalidArgument && text == x.failed.Text {
		code = x.failed.Status
	}
	setDetails(x.Header(), st, code)
	if x.aside && code == http.StatusNotFound {
		contentType, text = textPlain, "Not Found"
	}
	x.write(code, contentType, text)
}

// setDetails says in headers what gRPC has in an error's details.
func setDetails(h http.Header, st *status.Status, code int) (reason string) {
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
			h.Set(reasonHeader, reason)
		case *errdetails.RetryInfo:
			seconds := (d.GetRetryDelay().AsDuration() + time.Second - 1) / time.Second
			h.Set("Retry-After", strconv.FormatInt(int64(max(seconds, 1)), 10))
		}
	}
	switch {
	case code == http.StatusUnauthorized && (reason == access.ReasonTokenInvalid || reason == access.ReasonTokenExpired):
		h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case code == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case code == http.StatusTooManyRequests && h.Get("Retry-After") == "":
		h.Set("Retry-After", "1")
	}
	return reason
}

// write answers an error with its text. Nothing has been written before.
func (x *exchange) write(code int, contentType, text string) {
	h := x.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff") // a text may quote what a caller sent
	page := make([]byte, dialect.PageSize)
	p := dialect.NewPage(page, func(b []byte) error { _, err := x.Write(b); return err })
	x.WriteHeader(code)
	p.Error(text)
	if p.Err() == nil {
		_, _ = x.Write(p.Rest())
	}
}
