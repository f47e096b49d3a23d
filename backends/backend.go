// Package backends is the family of model servers: the contract that the
// gateway has with each ([Backend]), the table that finds the one which has a
// model ([Table]), what it knows of a server's models ([Models]), and the
// metadata that goes on to it ([Forwarder]). The children are the
// implementations, one per kind of server.
package backends

import (
	"context"
	"io"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
)

// Backend is one named model server. It speaks KServe v2 as a gRPC connection
// does: Invoke and NewStream take *wire.Message (and wire.HandOver) for bytes
// that go through, or the messages of package inference. Statuses that the server answered come
// back unchanged; a server that could not be reached is an [access.Error] of
// kind Unavailable, whose cause is for the log alone.
//
// A Backend is safe for concurrent use. The context's deadline and cancellation
// reach the server; its outgoing metadata goes on as it is.
type Backend interface {
	grpc.ClientConnInterface
	io.Closer
	// Name is the backend's name in the configuration.
	Name() string
	// Traits tells what kind of server it is.
	Traits() Traits
	// Outgoing returns ctx with what of a caller's metadata may go on to this
	// server, and with the credential that Sluice shows to it.
	Outgoing(ctx context.Context, metadata map[string][]string) (context.Context, error)
}

// Traits are what the gateway must know of a kind of server to speak to it.
type Traits struct {
	// Triton tells a server that answers ServerMetadata as Triton does; the
	// first such gives the gateway its name and version.
	Triton bool
	// Silent tells a server that sends no metadata of its own with its answers,
	// which need not be looked for then.
	Silent bool
	// Missing has the full names of the RPCs that the server does not serve,
	// or serves in a form that an unchanged client would misread.
	Missing map[string]bool
	// Slashes tells a server whose models' names may hold "/".
	Slashes bool
	// Apart tells a server to which each message of a stream goes on a stream of its
	// own: what lets one message through lets no other through.
	Apart bool
	// Guard says which requests are kept from the server.
	Guard Guard
}

// Guard switches off, one by one, what Sluice does about requests that killed
// Triton 2.51 (protocol/kserve-v2.md, section 4). The zero Guard lets all pass.
type Guard struct {
	// LongFileNames refuses a load with a "file:" path component over 255 bytes.
	LongFileNames bool
	// BytesClassification refuses classification of a BYTES output.
	BytesClassification bool
	// GRPCError holds back the metadata triton_grpc_error, with which an error of
	// any model's can end the process; errors stay messages of the stream.
	GRPCError bool
}

// NotKServe is the error of a server that answered something else than the
// protocol. The cause is for the log alone.
func NotKServe(cause error) *access.Error {
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonBackendAway, Cause: cause,
		Message: "the model's server answered what is not KServe v2; tell the platform team",
	}
}
