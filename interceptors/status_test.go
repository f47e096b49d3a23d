package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors"
)

func TestToStatus(t *testing.T) {
	own := func(k access.ErrorKind) error {
		return &access.Error{Kind: k, Reason: "WHY", Message: "what to do", Cause: errors.New("dsn=postgres://secret")}
	}
	const hidden = "internal error; the gateway's log says more"
	for _, c := range []struct {
		name string
		err  error
		code codes.Code
		text string
		why  string
	}{
		{"none", nil, codes.OK, "", ""},
		{"no token", own(access.Unauthenticated), codes.Unauthenticated, "what to do", "WHY"},
		{"no role", own(access.PermissionDenied), codes.PermissionDenied, "what to do", "WHY"},
		{"needs a person", own(access.NeedsApproval), codes.FailedPrecondition, "what to do", "WHY"},
		{"a limit", own(access.Exhausted), codes.ResourceExhausted, "what to do", "WHY"},
		{"a backend is away", own(access.Unavailable), codes.Unavailable, "what to do", "WHY"},
		{"malformed", own(access.Malformed), codes.InvalidArgument, "what to do", "WHY"},
		{"not served", own(access.Unimplemented), codes.Unimplemented, "what to do", "WHY"},
		{"no such model", own(access.NotFound), codes.NotFound, "what to do", "WHY"},
		{"internal", own(access.Internal), codes.Internal, "what to do", "WHY"},
		{"wrapped", fmt.Errorf("driver at 10.0.0.1: %w", own(access.Exhausted)), codes.ResourceExhausted, "what to do", "WHY"},
		{"a cause with a status does not show", &access.Error{Kind: access.Unavailable, Reason: "WHY", Message: "away", Cause: status.Error(codes.Aborted, "10.0.0.1")}, codes.Unavailable, "away", "WHY"},
		{"a backend's status", status.Error(codes.DataLoss, "as it came"), codes.DataLoss, "as it came", ""},
		{"the caller went", context.Canceled, codes.Canceled, "context canceled", ""},
		{"the deadline", fmt.Errorf("reading: %w", context.DeadlineExceeded), codes.DeadlineExceeded, "Deadline Exceeded", ""},
		{"anything else says nothing", errors.New("dial tcp 10.0.0.1: password=x"), codes.Internal, hidden, access.ReasonInternal},
		{"a status that somebody wrapped says nothing", fmt.Errorf("secret: %w", status.Error(codes.NotFound, "x")), codes.Internal, hidden, access.ReasonInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := interceptors.ToStatus(c.err)
			st := status.Convert(err)
			if st.Code() != c.code || st.Message() != c.text || reason(st) != c.why {
				t.Errorf("got %v (reason %q), want %v %q (%q)", err, reason(st), c.code, c.text, c.why)
			}
		})
	}
}

func reason(st *status.Status) string {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == interceptors.Domain {
			return info.GetReason()
		}
	}
	return ""
}

func TestALimitSaysWhenToTryAgain(t *testing.T) {
	st := status.Convert(interceptors.ToStatus(&access.Error{Kind: access.Exhausted, RetryAfter: 3 * time.Second}))
	for _, d := range st.Details() {
		if retry, ok := d.(*errdetails.RetryInfo); ok {
			if got := retry.GetRetryDelay().AsDuration(); got != 3*time.Second {
				t.Errorf("retry after %v, want 3s", got)
			}
			return
		}
	}
	t.Error("no RetryInfo")
}
