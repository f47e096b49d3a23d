package access

import (
	"context"
	"net"
)

// Door is how a call came in where that was not gRPC: it travels in the call's
// context, which no caller can write to, and not in metadata, which any can.
type Door struct {
	// Name is what the record calls the door: "rest".
	Name string
	// Opened, if set, hears of the call once it is made, before any step inside
	// has seen it.
	Opened func(*Call)
}

type peerKey struct{}

// WithPeer returns a context for what comes in from an address, in the form that
// tells connections apart.
func WithPeer(ctx context.Context, peer net.Addr) context.Context {
	return context.WithValue(ctx, peerKey{}, peer)
}

// PeerFrom returns the address that [WithPeer] gave, or nil.
func PeerFrom(ctx context.Context) net.Addr {
	a, _ := ctx.Value(peerKey{}).(net.Addr)
	return a
}

type doorKey struct{}

// WithDoor returns a context for a call that comes in through d.
func WithDoor(ctx context.Context, d *Door) context.Context {
	return context.WithValue(ctx, doorKey{}, d)
}

// DoorFrom returns the door that a call came in through; nil is gRPC's own.
func DoorFrom(ctx context.Context) *Door {
	d, _ := ctx.Value(doorKey{}).(*Door)
	return d
}
