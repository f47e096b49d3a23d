package secret

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// Options are what stored credentials need.
type Options struct {
	Store store.Store
	Ring  *Keyring
	// Idle and Unconfirmed are those of [Config]; 0 is the default.
	Idle, Unconfirmed time.Duration
	// InUse says what in the configuration names a secret, "" where nothing does; nil
	// is nothing ever.
	InUse func(name string) string
	Log   *slog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Credentials keeps secrets in the store and leases them. It is safe for
// concurrent use. [Credentials.Run] must run beside it.
type Credentials struct {
	o Options

	mu    sync.RWMutex
	slots map[string]*slot // only of names that a configuration has
}

// New returns stored credentials; nothing is read yet.
func New(o Options) *Credentials {
	o.Idle, o.Unconfirmed = cmp.Or(o.Idle, defaultIdle), cmp.Or(o.Unconfirmed, defaultUnconfirmed)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.InUse == nil {
		o.InUse = func(string) string { return "" }
	}
	return &Credentials{o: o, slots: make(map[string]*slot)}
}

// Put stores a new secret, and wipes value. A name that is there is CONFLICT.
func (c *Credentials) Put(ctx context.Context, who *access.Principal, name string, kind Kind, value Bytes) (Info, error) {
	defer value.Wipe()
	kind = cmp.Or(kind, Text)
	if refused := CheckName(name); refused != nil {
		return Info{}, refused
	}
	parsed, refused := parse(kind, value)
	if refused != nil {
		return Info{}, refused
	}
	defer parsed.wipe()
	now := c.o.Now()
	item := store.Item{Kind: KindCredential, ID: name, State: string(kind)}
	// Of a name that was removed before, an older version must not open again.
	r := record{Version: now.UnixMilli(), Created: now, Rotated: now, By: personOf(who)}
	if err := r.seal(c.o.Ring, &item, value); err != nil {
		return Info{}, err
	}
	if err := c.o.Store.Apply(ctx, store.Change{Item: item}); err != nil {
		return Info{}, storeError(err, `there is a secret of this name already; "sluice secrets rotate" gives it another value`)
	}
	return r.info(item), nil
}

// Rotate gives a secret another value, and wipes value; an empty one seals the
// present value anew. Calls from then on show the new value, on every replica.
func (c *Credentials) Rotate(ctx context.Context, who *access.Principal, name string, value Bytes) (Info, error) {
	defer value.Wipe()
	item, r, err := c.get(ctx, name)
	if err != nil {
		return Info{}, err
	}
	if value.Len() == 0 {
		return c.reseal(ctx, item, r)
	}
	parsed, refused := parse(Kind(item.State), value)
	if refused != nil {
		return Info{}, refused
	}
	defer parsed.wipe()
	now := c.o.Now()
	r.Version, r.Rotated, r.By = max(r.Version+1, now.UnixMilli()), now, personOf(who)
	if err := r.seal(c.o.Ring, &item, value); err != nil {
		return Info{}, err
	}
	if err := c.o.Store.Apply(ctx, store.Change{Item: item}); err != nil {
		return Info{}, storeError(err, errRaced)
	}
	c.changed(name, &r)
	return r.info(item), nil
}

const errRaced = "somebody else changed this secret at the same moment; look at it and try again"

// reseal seals the value that there is under the key that seals now. It stays the
// same version: nobody has to open it again.
func (c *Credentials) reseal(ctx context.Context, item store.Item, r record) (Info, error) {
	value, err := c.o.Ring.Open(r.Sealed, at(item.ID, Kind(item.State), r.Version)...)
	if err != nil {
		return Info{}, Unavailable(fmt.Errorf("secret %s: %w", item.ID, err))
	}
	defer value.Wipe()
	if err := r.seal(c.o.Ring, &item, value); err != nil {
		return Info{}, err
	}
	if err := c.o.Store.Apply(ctx, store.Change{Item: item}); err != nil {
		return Info{}, storeError(err, errRaced)
	}
	return r.info(item), nil
}

// Delete removes a secret; where a configuration names it, only with force. Its
// leases end, and its connections are closed, on every replica.
func (c *Credentials) Delete(ctx context.Context, name string, force bool) error {
	item, _, err := c.get(ctx, name)
	if err != nil {
		return err
	}
	if by := c.o.InUse(name); by != "" && !force {
		return &access.Error{
			Kind: access.NeedsApproval, Reason: access.ReasonConflict,
			Message: by + " of the configuration uses this secret; take it out there first, or remove it by force and its calls fail",
		}
	}
	if err := c.o.Store.Apply(ctx, store.Change{Item: item, Delete: true}); err != nil {
		return storeError(err, errRaced)
	}
	c.changed(name, nil)
	return nil
}

// List returns a page of what is stored, by name.
func (c *Credentials) List(ctx context.Context, after string, limit int) ([]Info, error) {
	items, err := c.o.Store.List(ctx, store.Query{Kind: KindCredential, After: after, Limit: limit})
	if err != nil {
		return nil, storeError(err, "")
	}
	all := make([]Info, 0, len(items))
	for _, item := range items {
		r, err := decode(item)
		if err != nil {
			r.KeyID = "unreadable"
		}
		info := r.info(item)
		if used := c.used(ctx, item.ID); !used.Before(info.Created) { // else it was one of this name before
			info.Used = used
		}
		all = append(all, info)
	}
	return all, nil
}

func (c *Credentials) get(ctx context.Context, name string) (store.Item, record, error) {
	if refused := CheckName(name); refused != nil {
		return store.Item{}, record{}, refused
	}
	item, err := c.o.Store.Get(ctx, KindCredential, name)
	if err != nil {
		return store.Item{}, record{}, storeError(err, "")
	}
	r, err := decode(item)
	return item, r, err
}

// use is the body of an item of [KindUse].
type use struct {
	At time.Time `json:"at"`
}

// used is when a secret was used last; the zero time where that is not known.
func (c *Credentials) used(ctx context.Context, name string) time.Time {
	item, err := c.o.Store.Get(ctx, KindUse, name)
	var u use
	if err != nil || json.Unmarshal(item.Body, &u) != nil {
		return time.Time{}
	}
	return u.At
}

// storeError puts a store's error into the words of a caller; conflict is what to
// say of one.
func storeError(err error, conflict string) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &access.Error{
			Kind: access.NotFound, Reason: access.ReasonNotFound, Cause: err,
			Message: `there is no secret of this name; "sluice secrets list" shows those that there are`,
		}
	case errors.Is(err, store.ErrConflict):
		return &access.Error{Kind: access.NeedsApproval, Reason: access.ReasonConflict, Message: conflict, Cause: err}
	case errors.Is(err, store.ErrAway):
		return &access.Error{
			Kind: access.Unavailable, Reason: access.ReasonStoreAway, RetryAfter: time.Second, Cause: err,
			Message: "the store is away; nothing is known to be changed, try again",
		}
	}
	return err
}

// Unavailable is what a call gets whose credential can't be opened.
func Unavailable(cause error) *access.Error {
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonCredentialAway, RetryAfter: time.Second, Cause: cause,
		Message: "the credential for the model's server could not be opened; try again, or tell the platform team",
	}
}
