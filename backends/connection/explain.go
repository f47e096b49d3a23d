package connection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/backends"
)

// ownWords begin the statuses that grpc-go makes itself when a server can't be
// reached or breaks off: they name addresses, which are not the caller's.
var ownWords = []string{
	"connection error:", "error reading from server:", "closing transport due to:", "transport:", "transport is closing",
	"name resolver error:", "last resolver error:", "last connection error:", "no children to pick from", "keepalive ping failed",
	"the connection is draining", "the stream is rejected because server is draining", "grpc: the client connection is closing",
	"unavailable due to", "produced zero addresses", "latest balancer error:", "SubConn state is not",
	// What the connection itself says comes without grpc-go's words where writing failed.
	"write tcp", "read tcp", "write unix", "read unix", "remote error: tls:", "local error: tls:", "tls:", "io: read/write on closed pipe",
}

// resetWords begin the status that grpc-go makes where a server resets a call.
const resetWords = "stream terminated by RST_STREAM"

// explain tells the server's own statuses, which go through unchanged, from
// those of the connection to it.
func explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) { // the server's clock was first
		return context.DeadlineExceeded
	}
	st, ok := status.FromError(err)
	if !ok {
		return backends.Away(err)
	}
	switch {
	case notGRPC(st):
		what, _, _ := strings.Cut(st.Message(), "\n") // behind it is what was answered
		return backends.NotKServe(errors.New(what))
	case isOwn(st), strings.HasPrefix(st.Message(), resetWords):
		return away(st, err)
	}
	return err
}

// foreignWords begin the statuses that grpc-go makes where what answers does not
// speak gRPC. They may quote its answer: a page of whatever else is there.
var foreignWords = []string{
	"unexpected HTTP status code received from server:", "malformed header:", "transport: received unexpected content-type", "transport: malformed", "protocol error:",
}

func notGRPC(st *status.Status) bool {
	return hasPrefix(st.Message(), foreignWords) || st.Code() == codes.Internal && strings.HasPrefix(st.Message(), "grpc: ")
}

func isOwn(st *status.Status) bool {
	switch st.Code() {
	case codes.Unavailable, codes.Canceled, codes.Unknown:
		return hasPrefix(st.Message(), ownWords)
	}
	return false
}

func hasPrefix(msg string, beginnings []string) bool {
	return slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(msg, b) })
}

// unsentWords begin the statuses that grpc-go makes where it has no connection to
// send a request on. It puts the reason of a broken connection in other words.
var unsentWords = []string{`connection error: desc = "transport: `, `connection error: desc = "error reading server preface`}

func away(st *status.Status, err error) error {
	switch {
	case hasPrefix(st.Message(), unsentWords):
		return backends.Away(backends.Unsent(err))
	case strings.HasPrefix(st.Message(), resetWords):
		return backends.Away(fmt.Errorf("%w: %w", backends.ErrCallReset, err))
	}
	return backends.Away(err)
}
