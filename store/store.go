// Package store is the contract of where state is kept that outlives a process
// and is shared by replicas: approval requests, grants, ended sessions, stored
// credentials, notifications that are still to be sent. An [Item] is one thing
// of a kind, whose meaning is its keeper's; the store keeps it, finds it by few
// fields, and changes several at once if none of them was changed by another.
//
// Records of calls are not kept here: see package audit.
package store

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// Errors that every store gives, wrapped or as they are. Any other is the
// store's own trouble, and for the log alone.
var (
	// ErrNotFound is the answer to a [Store.Get] of what is not there.
	ErrNotFound = errors.New("store: not found")
	// ErrConflict is why a [Store.Apply] changed nothing: an item is not any more,
	// or was not yet, what the change was made from.
	ErrConflict = errors.New("store: changed by another")
	// ErrAway is a store that can't be reached or can't write: nothing is known of
	// what it holds, and an Apply may have come to pass or not.
	ErrAway = errors.New("store: away")
)

// Kind says what an item is: "request", "grant". Kinds are constants of the
// packages that keep them, lower case.
type Kind string

// Item is one thing that is kept. ID, Owner and State are short texts without a
// byte 0; Body is up to [MaxBody] bytes.
type Item struct {
	Kind Kind
	// ID is unique in its kind; those of [NewID] sort in the order of their making.
	ID string
	// Revision is 1 at first and goes up by one with each change.
	Revision int64
	// Owner is whose it is, State what has become of it, Expires when it ends (the
	// zero time is never; kept in milliseconds, UTC). Items are found by them; an
	// item that has expired stays until it is deleted.
	Owner, State string
	Expires      time.Time
	Body         []byte
}

// Limits of items.
const (
	MaxBody = 1 << 20
	MaxText = 1 << 10
)

// Change is one item as it is to be: Item.Revision is the one that the change
// was made from, 0 for an item that is not there yet.
type Change struct {
	Item
	// Delete removes the item.
	Delete bool
}

// Query asks for items of one kind, sorted by ID. Empty fields ask for all.
type Query struct {
	Kind         Kind
	Owner, State string
	// ExpiresBefore finds what has an end before it.
	ExpiresBefore time.Time
	// After is the last ID of the page before.
	After string
	// Limit is at most [MaxPage]; 0 is MaxPage.
	Limit int
}

// MaxPage is how many items one [Store.List] gives at most.
const MaxPage = 1000

// Hint says that an item may have changed; an empty ID, that any of its kind
// may have. It is no more than a hint: the item has to be read again.
type Hint struct {
	Kind Kind
	ID   string
}

// Store keeps items. All methods are safe for concurrent use; each call is
// bounded by its context, and by a few seconds where that has no end.
type Store interface {
	// Get reads one item; [ErrNotFound] if there is none.
	Get(ctx context.Context, kind Kind, id string) (Item, error)
	// List reads a page of items; none is no error.
	List(ctx context.Context, q Query) ([]Item, error)
	// Apply makes all changes or none, durably: they are there after a loss of power.
	// Where one was made from a revision that is not the item's any more, it is
	// [ErrConflict]; two that make the same new item conflict too.
	Apply(ctx context.Context, changes ...Change) error
	// Watch hears of changes of the kinds, those of other processes too, until ctx
	// ends, which closes the channel. A reader that is slow misses none: what it has
	// not taken is gathered into hints without ID. Each kind gets a hint without ID
	// at first, whenever the store was away, and every [Poll].
	Watch(ctx context.Context, kinds ...Kind) <-chan Hint
	// Ping asks whether the store answers and can write.
	Ping(ctx context.Context) error
	// Close ends the store and its watches.
	Close() error
}

// Poll is how often a watch says that anything may have changed.
const Poll = 5 * time.Second

// NewID returns an ID of 26 letters and digits (Crockford's base 32 in lower
// case, as ULIDs are): 48 bits of now in milliseconds, 80 bits of chance.
func NewID(now time.Time) string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	var raw [16]byte
	ms := uint64(max(now.UnixMilli(), 0))
	for i := range 6 {
		raw[i] = byte(ms >> (40 - 8*i))
	}
	_, _ = rand.Read(raw[6:]) // never fails: it ends the program instead
	var out [26]byte
	// 26 letters of 5 bits are 130 bits: the first letter has the top 3 of 128.
	var acc uint64
	var bits uint
	pos := len(out) - 1
	for i := len(raw) - 1; i >= 0; i-- {
		acc |= uint64(raw[i]) << bits
		bits += 8
		for bits >= 5 {
			out[pos] = alphabet[acc&31]
			pos--
			acc >>= 5
			bits -= 5
		}
	}
	out[0] = alphabet[acc&31]
	return string(out[:])
}
