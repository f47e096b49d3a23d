package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/rest/dialect"
)

// ErrNotAllowed is what [Options].ModelConfig returns for a model that the call's
// principal may not infer on, whether there is such a model or not.
var ErrNotAllowed = errors.New("rest: not allowed")

// timeoutHeader says how long a call may take, in gRPC's own form: up to eight
// digits and one of H, M, S, m, u, n.
const timeoutHeader = "Grpc-Timeout"

const maxTimeoutDigits = 8

var timeoutUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// deadline returns a context that ends when the caller says, if it says.
func (x *exchange) deadline(ctx context.Context) (context.Context, context.CancelFunc, error) {
	text := x.http.Header.Get(timeoutHeader)
	if text == "" {
		return ctx, func() {}, nil
	}
	n := len(text) - 1
	unit, value := timeoutUnits[text[n]], int64(0)
	if unit == 0 || n < 1 || n > maxTimeoutDigits || !digits(text[:n]) {
		return nil, nil, status.Error(codes.InvalidArgument, fmt.Sprintf("malformed %s: %q", timeoutHeader, text))
	}
	for _, c := range text[:n] {
		value = value*10 + int64(c-'0')
	}
	if value > int64((1<<63-1)/unit) {
		return ctx, func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(value)*unit)
	return ctx, cancel, nil
}

// checkPlain refuses a compressed body where Triton takes none.
func (x *exchange) checkPlain() error {
	if e := x.http.Header.Get("Content-Encoding"); e != "" && e != identity {
		return x.refuse(&dialect.Error{Status: http.StatusBadRequest, Text: "Unsupported content-encoding, only 'identity' is supported."})
	}
	return nil
}
