package leased

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/backends"
)

// TestScrub: what an error is stays, the credential in its words does not.
func TestScrub(t *testing.T) {
	u := &use{shown: map[string]string{"authorization": "Bearer hunter2", "x-short": "abc", "x-key": "hunter3"}}
	if u.scrub(nil) != nil || (&use{}).scrub(errors.ErrUnsupported) != errors.ErrUnsupported {
		t.Error("what quotes nothing is changed")
	}
	other := errors.New("a driver's words: hunter2")
	if got := u.scrub(other); got != other {
		t.Errorf("what no edge shows is changed: %v", got)
	}
	away := backends.Away(backends.Unsent(fmt.Errorf("it said %w", status.Error(codes.Unavailable, "hunter2, hunter3"))))
	got := u.scrub(away)
	if !backends.IsAway(got) || !backends.IsUnsent(got) || got.Error() != away.Error() {
		t.Errorf("it is not what it was: %v", got)
	}
	if cause := errors.Unwrap(got); strings.Contains(fmt.Sprintf("%v %+v %s", cause, cause, cause), "hunter") {
		t.Errorf("the log would have %v", cause)
	}
	plain := backends.Away(errors.New("abc"))
	if got := u.scrub(plain); got != error(plain) {
		t.Errorf("what is too short to be looked for is found: %v", got)
	}
	if got := status.Convert(u.scrub(status.Error(codes.NotFound, "no hunter3"))); got.Code() != codes.NotFound || got.Message() != "no [REDACTED]" {
		t.Errorf("got %v", got)
	}
}
