package backends

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

var (
	// ErrUnsent is among the causes of an [Away] error where nothing of the
	// request has left: it may be sent to another replica, whatever it is.
	ErrUnsent = errors.New("nothing was sent")
	// ErrCallReset is among the causes of an [Away] error where the server broke
	// off one call and not its connection. That can be the request's own doing.
	ErrCallReset = errors.New("the server reset the call")
)

// Away is the error of a server that could not be reached, or whose connection
// broke off. The cause is for the log alone: it may name addresses.
func Away(cause error) *access.Error {
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonBackendAway, RetryAfter: time.Second, Cause: cause,
		Message: "the model's server is away; try again later",
	}
}

// Unsent makes a cause for [Away] that says that nothing has left.
func Unsent(cause error) error { return fmt.Errorf("%w: %w", ErrUnsent, cause) }

// IsUnsent tells whether a call that failed with err has sent nothing: it says so,
// or a connection for it could not be made.
func IsUnsent(err error) bool {
	if errors.Is(err, ErrUnsent) {
		return true
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// IsAway tells whether err is that of a server which is away or broke off; not of
// one that answered, nor of one that reset a single call.
func IsAway(err error) bool {
	e, ok := access.AsError(err)
	return ok && e.Kind == access.Unavailable && e.Reason == access.ReasonBackendAway && !errors.Is(err, ErrCallReset)
}
