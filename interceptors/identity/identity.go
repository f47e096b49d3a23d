// Package identity finds out who calls, on headers alone: it runs before a
// byte of the message is read. The proof is checked by an
// [identity.Authenticator]; this package is its gRPC skin.
package identity

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/identity"
	"github.com/sluice-gateway/sluice/interceptors"
)

// Gate is the step. It is safe for concurrent use.
type Gate struct {
	Authenticator identity.Authenticator
	// Open tells which methods, by full name, are served to callers without a
	// token. A token that is shown to one of them is not looked at: a probe must
	// not fail because its token did.
	Open func(method string) bool
}

// Step returns the interceptor's two forms.
func (g *Gate) Step() interceptors.Step {
	return interceptors.Step{Name: interceptors.Identity, Unary: g.unary, Stream: g.stream}
}

func (g *Gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := g.identify(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (g *Gate) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := g.identify(ss.Context(), info.FullMethod); err != nil {
		return err
	}
	return handler(srv, ss)
}

// maxMetadata bounds a call's metadata in bytes, which is kept as long as the
// call lasts. Servers of the protocol take 16 KiB or less, so that nothing is
// lost. The transport takes more, so that a longer token is refused in words.
const maxMetadata = 64 << 10

func checkSize(metadata map[string][]string) error {
	n := 0
	for name, values := range metadata {
		for _, value := range values {
			n += len(name) + len(value)
		}
	}
	if n <= maxMetadata {
		return nil
	}
	return &access.Error{
		Kind: access.Malformed, Reason: access.ReasonMalformed,
		Message: fmt.Sprintf("%d bytes of metadata are more than %d; send less", n, maxMetadata),
	}
}

// identify puts the principal into the call, or says why there is none.
func (g *Gate) identify(ctx context.Context, method string) error {
	call := access.CallFrom(ctx)
	if g.Open(method) {
		return checkSize(call.Metadata)
	}
	token, err := identity.Bearer(call.Metadata["authorization"])
	if err == nil {
		err = checkSize(call.Metadata)
	}
	if err != nil {
		return err
	}
	call.Principal, err = g.Authenticator.Authenticate(ctx, token)
	return err
}
