package store

import (
	"context"
	"errors"
	"iter"
)

// ErrNotEmpty is why a [Keeper.Restore] changed nothing.
var ErrNotEmpty = errors.New("store: there are items already; restore into an empty store")

// Keeper is what an operator does to a store that is a database. These calls
// last as long as the database is large: only their context bounds them.
type Keeper interface {
	Store
	// Dump gives each item as it was at one moment, sorted by kind and ID, until
	// yield fails, whose error it returns.
	Dump(ctx context.Context, yield func(Item) error) error
	// Restore puts items with their revisions into a store that has none, else it
	// is [ErrNotEmpty]; all, or none where items gives an error.
	Restore(ctx context.Context, items iter.Seq2[Item, error]) error
	// Check looks for damage. Its error is of what could not be looked at.
	Check(ctx context.Context) ([]Finding, error)
}

// Finding is what one check of [Keeper.Check] has found.
type Finding struct {
	// ID names the check: "integrity".
	ID string `json:"id"`
	// OK tells that nothing is wrong.
	OK bool `json:"ok"`
	// Detail says what was found, in a line.
	Detail string `json:"detail"`
}
