package rest

import (
	"net"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// What the HTTP doors share, so that a header, an address and an error mean the
// same at each.

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
