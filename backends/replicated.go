package backends

import (
	"context"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// Replicated is a [Backend] that a stream must not be opened on blindly: each
// message of it goes to a replica that the backend chooses, and may be refused
// for who sends it. Whoever relays a stream asks for the member per message:
//
//	if pool, ok := b.(backends.Replicated); ok {
//		if b, refused = pool.Member(ctx, view); refused != nil {
//			// refuse this message, the stream goes on
//		}
//	}
//
// and keeps one stream to each member, keyed by the Backend itself and not by
// its name, which all members share. Unary calls go to the backend as to any other.
type Replicated interface {
	Backend
	// Member returns the replica that a message of a stream goes to. Messages of
	// one sequence go to one member for as long as it is there; the refusal says
	// that it is gone, that the sequence is another principal's, or that it was
	// not begun. The principal is that of the context's [access.Call]; request
	// names the model as the caller does, and is not kept.
	//
	// Members are comparable, and the same for the same replica. A member speaks
	// to its replica alone: nothing that is sent on it goes to another one once
	// an answer has begun. It is not to be closed, and its calls are counted by
	// themselves. One that has left the backend serves the streams that are open
	// on it until they end or the backend has it drained; a new stream on it is
	// an error of kind Unavailable, upon which Member can be asked again.
	Member(ctx context.Context, request wire.InferRequest) (Backend, *access.Error)
}
