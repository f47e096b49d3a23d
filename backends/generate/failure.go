package generate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
)

const (
	// maxRefusal is how much of an error's body is read, in bytes.
	maxRefusal = 64 << 10
	// maxText is how much of a server's own text goes on to the caller.
	maxText = 4 << 10
	// maxRetryAfter is the longest wait that is passed on.
	maxRetryAfter = time.Hour
)

// statuses maps what these servers answer to gRPC's codes (protocol/vllm-openai.md,
// protocol/tgi.md). 424 is TGI's failure of the generation itself.
var statuses = map[int]codes.Code{
	http.StatusBadRequest: codes.InvalidArgument, http.StatusNotFound: codes.NotFound, http.StatusMethodNotAllowed: codes.Unimplemented,
	http.StatusRequestTimeout: codes.DeadlineExceeded, http.StatusConflict: codes.FailedPrecondition, http.StatusRequestEntityTooLarge: codes.InvalidArgument,
	http.StatusUnsupportedMediaType: codes.Internal, http.StatusUnprocessableEntity: codes.InvalidArgument, http.StatusFailedDependency: codes.Internal,
	http.StatusTooManyRequests: codes.ResourceExhausted, http.StatusInternalServerError: codes.Internal, http.StatusNotImplemented: codes.Unimplemented,
	http.StatusBadGateway: codes.Unavailable, http.StatusServiceUnavailable: codes.Unavailable, http.StatusGatewayTimeout: codes.DeadlineExceeded,
}

// Failure is the error for what a server said in words, under the gRPC code of
// an HTTP status; 0 is a failure that has none, as in the middle of a stream.
// The text is bounded and goes on to the caller.
func Failure(httpStatus int, text string) error {
	return status.Error(codeOf(httpStatus), clean(text))
}

func codeOf(httpStatus int) codes.Code {
	switch code, ok := statuses[httpStatus]; {
	case ok:
		return code
	case httpStatus/100 == 4:
		return codes.InvalidArgument
	}
	return codes.Internal
}

// Garbage is the error for an answer that is not what the server's protocol
// says. The cause is for the log alone; the request may have brought it about,
// so that it does not count against the server ([backends.ErrCallReset]).
func Garbage(cause error) *access.Error {
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonBackendAway, Cause: fmt.Errorf("%w: %w", backends.ErrCallReset, cause),
		Message: "the model's server answered what cannot be read; tell the platform team",
	}
}

// Truncated is the error for an answer that ended before its end.
func Truncated(cause error) *access.Error {
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonBackendAway, Cause: fmt.Errorf("%w: %w", backends.ErrCallReset, cause),
		Message: "the model's server broke off its answer",
	}
}

// broken is the error for a connection that could not be made or broke. It names
// no address. One that broke carried this request alone, whose own doing that
// may be; a server that is gone shows when the next one is made.
func broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return Truncated(err)
	}
	if !backends.IsUnsent(err) {
		err = fmt.Errorf("%w: %w", backends.ErrCallReset, err)
	}
	return backends.Away(err)
}

// refusal makes an error of an answer with a status that is not good.
func refusal(ctx context.Context, resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	code := resp.StatusCode
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired:
		// The server's words may quote the credential.
		return &access.Error{
			Kind: access.Unavailable, Reason: access.ReasonBackendAway, Cause: fmt.Errorf("it answered HTTP status %d", code),
			Message: "the model's server refuses the gateway's credential; tell the platform team",
		}
	case code/100 != 4 && code/100 != 5:
		return Garbage(fmt.Errorf("it answered HTTP status %d", code))
	}
	text, routed := errorText(body)
	if !routed && (code == http.StatusNotFound || code == http.StatusMethodNotAllowed) {
		return status.Error(codes.Unimplemented, "this model's server does not serve that")
	}
	if text == "" {
		text = fmt.Sprintf("the model's server answered HTTP status %d", code)
	}
	st := status.New(codeOf(code), clean(text))
	if wait := retryAfter(resp.Header.Get("Retry-After")); wait > 0 {
		if with, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}); err == nil {
			st = with
		}
	}
	return st.Err()
}

// errorText finds the server's words in the body of an error. routed is false
// for what a web framework says where there is no such route.
func errorText(body []byte) (text string, routed bool) {
	var e struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(body, &e) != nil {
		if page := bytes.TrimSpace(body); len(page) == 0 || page[0] == '<' {
			return "", false // a page of whatever else is there
		}
		return string(body), true
	}
	var inner struct {
		Message string `json:"message"`
	}
	switch {
	case json.Unmarshal(e.Error, &text) == nil && text != "":
		return text, true
	case json.Unmarshal(e.Error, &inner) == nil && inner.Message != "":
		return inner.Message, true
	case e.Message != "":
		return e.Message, true
	case json.Unmarshal(e.Detail, &text) == nil && text != "":
		return text, text != "Not Found" && text != "Method Not Allowed"
	case len(e.Detail) > 0:
		return string(e.Detail), true
	}
	return string(body), true
}

// clean bounds a server's text, and takes out what a status cannot carry.
func clean(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + " …"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// retryAfter reads the header of that name where it is in seconds.
func retryAfter(value string) time.Duration {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}
