package backends

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/access"
)

// Forwarder decides which of a caller's metadata goes on to a backend. Its zero
// value lets everything through that may ever pass.
type Forwarder struct {
	// Allow, if not empty, narrows what passes to names that match one of its
	// patterns ("x-*").
	Allow []string
	// Hold names what does not pass besides, in lower case.
	Hold []string
	// Credential is what Sluice itself shows to the backend, keys in lower case.
	// A caller can't set these names.
	Credential func() (map[string]string, error)
}

// GRPCErrorKey is the metadata that, set to "true", asks Triton to end a stream with the status of
// the first error that a model makes (protocol/kserve-v2.md, section 3).
const GRPCErrorKey = "triton_grpc_error"

// held never goes on: the caller's own proof of identity, the header that
// opens Triton's restricted protocols, and what speaks for Sluice or its REST
// door. A name that ends in "-" stands for all that begin with it.
var held = []string{"authorization", "proxy-authorization", "cookie", "triton-grpc-protocol-", "sluice-", "grpcgateway-"}

// hop names what belongs to one HTTP/2 hop: grpc-go writes its own.
var hop = map[string]bool{"content-type": true, "user-agent": true, "te": true, "connection": true, "host": true}

// Passes tells whether metadata of this name, in lower case, may go on.
func (f *Forwarder) Passes(name string) bool {
	if strings.HasPrefix(name, ":") || strings.HasPrefix(name, "grpc-") || hop[name] {
		return false
	}
	if slices.Contains(f.Hold, name) {
		return false
	}
	for _, h := range held {
		if name == h || strings.HasSuffix(h, "-") && strings.HasPrefix(name, h) {
			return false
		}
	}
	if len(f.Allow) == 0 {
		return true
	}
	for _, p := range f.Allow {
		if access.Match(p, name) {
			return true
		}
	}
	return false
}

// Outgoing returns ctx with the caller's metadata that passes, and with the
// credential over it. The error is the credential's.
func (f *Forwarder) Outgoing(ctx context.Context, incoming map[string][]string) (context.Context, error) {
	var out metadata.MD
	for name, values := range incoming {
		if f.Passes(name) {
			if out == nil {
				out = make(metadata.MD, 4)
			}
			out[name] = values
		}
	}
	if f.Credential != nil {
		credential, err := f.Credential()
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = make(metadata.MD, len(credential))
		}
		for name, value := range credential {
			out[name] = []string{value}
		}
	}
	if out == nil {
		return ctx, nil
	}
	return metadata.NewOutgoingContext(ctx, out), nil
}
