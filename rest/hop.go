package rest

import (
	"context"
	"net"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/rest/inprocess"
)

// What the HTTP doors share, so that a header, an address and an error mean the
// same at each.

// Conn is a connection to handlers in this process, and Caller who calls over it:
// see package inprocess.
type (
	Conn   = inprocess.Conn
	Caller = inprocess.Caller
)

// NewConn returns a connection to handlers, which are named by full method.
func NewConn(handlers map[string]grpc.StreamHandler) *Conn { return inprocess.New(handlers) }

// WithCaller returns a context whose in-process calls c makes.
func WithCaller(ctx context.Context, c *Caller) context.Context { return inprocess.WithCaller(ctx, c) }

// MetadataOf makes metadata of a request's headers, as this package's door does.
func MetadataOf(header http.Header) metadata.MD { return metadataOf(header) }

// PeerOf is the address that a request came from.
func PeerOf(r *http.Request) net.Addr { return peerOf(r) }

// StatusOf is the HTTP status of a gRPC code.
func StatusOf(code codes.Code) int { return statusOf(code) }

// SetDetails says in headers what gRPC has in an error's details (the stable reason,
// when to try again, how to authenticate) and returns the reason.
func SetDetails(h http.Header, st *status.Status, code int) (reason string) {
	return setDetails(h, st, code)
}
