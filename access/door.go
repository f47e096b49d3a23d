package access

import "context"

// Door is how a call came in where that was not gRPC: it travels in the call's
// context, which no caller can write to, and not in metadata, which any can.
type Door struct {
	// Name is what the record calls the door: "rest".
	Name string
	// Opened, if set, hears of the call once it is made, before any step inside
	// has seen it.
	Opened func(*Call)
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
