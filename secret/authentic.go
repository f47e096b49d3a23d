package secret

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/store"
)

const (
	forTag = "sluice: authenticity of kept items"
	// tagged begins a body that has a tag: bodies without one are JSON, or text.
	tagged   = 1
	tagSize  = sha256.Size
	tagFront = 1 + idSize + tagSize
	// maxTold bounds what is remembered of items that are not ours, and what is told of
	// them in an hour: there may be many, and lists of them are read again and again.
	maxTold  = 1024
	tellAnew = time.Hour
)

// tag is a key's id and a keyed hash (HMAC-SHA-256, under a key that HKDF derives from
// the one that seals) over parts, each with its length before it.
func (r *Keyring) tag(k *ringKey, parts []string) ([]byte, error) {
	key, err := derive(k.key, nil, forTag, KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	h := hmac.New(sha256.New, key)
	h.Write(place(parts))
	return h.Sum(slices.Clone(k.id[:])), nil
}

// AuthenticOptions are what an [Authentic] is made of.
type AuthenticOptions struct {
	Ring *Keyring
	// Kinds are those that give rights.
	Kinds []store.Kind
	Log   *slog.Logger
	// Found hears of each item that is not ours, once for each of its revisions; of so
	// many in an hour.
	Found func(kind store.Kind, id string, why error)
}

// Authentic is a store in which items of some kinds are those that holders of a key
// have written: each carries a keyed hash over its kind, id, revision, owner, state,
// end and body. One that has none or a wrong one is not there: Get says [store.ErrNotFound]
// and List leaves it out, save where it asks for what has ended, so that it is
// deleted; then it has no body. That somebody who writes to the database deletes an
// item, or puts an older state of it back, is not noticed here; but that state has its
// old revision, so that who has seen a later one knows. It is safe for concurrent use,
// as the store in it is.
type Authentic struct {
	store.Store
	o AuthenticOptions

	mu    sync.Mutex
	told  map[string]int64 // revisions
	since time.Time        // told is of what was found since
}

// NewAuthentic puts s behind a key.
func NewAuthentic(s store.Store, o AuthenticOptions) *Authentic {
	return &Authentic{Store: s, o: o, told: make(map[string]int64), since: time.Now()}
}

// errNoTag is why an item is not used that was written before there was a key, or by
// somebody who has none.
var errNoTag = errors.New("secret: it carries no keyed hash")

// parts are what an item's tag is over.
func parts(item *store.Item, revision int64, body []byte) []string {
	ends := ""
	if !item.Expires.IsZero() {
		ends = strconv.FormatInt(item.Expires.UnixMilli(), 10)
	}
	return []string{string(item.Kind), item.ID, strconv.FormatInt(revision, 10), item.Owner, item.State, ends, string(body)}
}

// open takes the tag off an item's body, if it is right.
func (a *Authentic) open(item *store.Item) error {
	b := item.Body
	if len(b) < tagFront || b[0] != tagged {
		return errNoTag
	}
	k := a.o.Ring.find(b[1 : 1+idSize])
	if k == nil {
		return ErrUnknownKey
	}
	want, err := a.o.Ring.tag(k, parts(item, item.Revision, b[tagFront:]))
	if err != nil {
		return err
	}
	if !hmac.Equal(want, b[1:tagFront]) {
		return ErrForged
	}
	item.Body = b[tagFront:]
	return nil
}

// refused empties an item that is not ours, and says so.
func (a *Authentic) refused(ctx context.Context, item *store.Item, why error) {
	item.Body = nil
	name := string(item.Kind) + " " + item.ID
	if !a.news(name, item.Revision) {
		return
	}
	a.o.Log.LogAttrs(ctx, slog.LevelError, "an item of the store is not used: no gateway with this key has written it",
		slog.String("kind", string(item.Kind)), slog.String("id", item.ID), slog.Any("error", why))
	if a.o.Found != nil {
		a.o.Found(item.Kind, item.ID, why)
	}
}

// news tells whether something is to be told of an item.
func (a *Authentic) news(name string, revision int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.told) >= maxTold && time.Since(a.since) >= tellAnew {
		clear(a.told)
		a.since = time.Now()
	}
	before, known := a.told[name]
	if known && before == revision || !known && len(a.told) >= maxTold {
		return false
	}
	a.told[name] = revision
	return true
}

// Get reads one item. Of one that is not ours there is the revision beside the error,
// so that it can be written anew.
func (a *Authentic) Get(ctx context.Context, kind store.Kind, id string) (store.Item, error) {
	item, err := a.Store.Get(ctx, kind, id)
	if err != nil || !slices.Contains(a.o.Kinds, kind) {
		return item, err
	}
	if why := a.open(&item); why != nil {
		a.refused(ctx, &item, why)
		return item, fmt.Errorf("%w: %w", store.ErrNotFound, why)
	}
	return item, nil
}

// List reads a page of items; pages stay full where others are left out.
func (a *Authentic) List(ctx context.Context, q store.Query) ([]store.Item, error) {
	if !slices.Contains(a.o.Kinds, q.Kind) {
		return a.Store.List(ctx, q)
	}
	if q.Limit == 0 {
		q.Limit = store.MaxPage
	}
	var all []store.Item
	for most := q.Limit; ; {
		items, err := a.Store.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range items {
			if why := a.open(&items[i]); why != nil {
				if a.refused(ctx, &items[i], why); q.ExpiresBefore.IsZero() {
					continue
				}
			}
			all = append(all, items[i])
		}
		if len(items) < q.Limit || len(all) == most {
			return all, nil
		}
		q.After, q.Limit = items[len(items)-1].ID, most-len(all)
	}
}

// Apply makes all changes or none, and puts a tag on what is written.
func (a *Authentic) Apply(ctx context.Context, changes ...store.Change) error {
	changes = slices.Clone(changes)
	for i := range changes {
		c := &changes[i]
		if c.Delete || !slices.Contains(a.o.Kinds, c.Kind) {
			continue
		}
		tag, err := a.o.Ring.tag(&a.o.Ring.keys[0], parts(&c.Item, c.Revision+1, c.Body))
		if err != nil {
			return err
		}
		c.Body = slices.Concat([]byte{tagged}, tag, c.Body)
	}
	return a.Store.Apply(ctx, changes...)
}

// Renew writes anew, under the key that is used now, what is under an old one, so that
// the old one can go.
func (a *Authentic) Renew(ctx context.Context) {
	for _, kind := range a.o.Kinds {
		for q := (store.Query{Kind: kind}); ; {
			items, err := a.Store.List(ctx, q)
			if err != nil || len(items) == 0 {
				break // the next time
			}
			for _, item := range items {
				q.After = item.ID
				old := len(item.Body) >= tagFront && a.o.Ring.find(item.Body[1:1+idSize]) != &a.o.Ring.keys[0]
				if old && a.open(&item) == nil {
					_ = a.Apply(ctx, store.Change{Item: item}) // or another has changed it, under the new key
				}
			}
		}
	}
}
