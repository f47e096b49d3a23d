package payload

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/audit"
)

// ErrShredded is the error of a payload whose key is not there any more: it is
// older than what is kept, and nobody can read it.
var ErrShredded = errors.New("payload: its key was deleted at the end of its time")

// dayFormat writes a UTC day in the id of a key, before "/" and the replica: each
// replica has keys of its own, so that none waits for another.
const dayFormat = "2006-01-02"

// days are the keys of days. It is safe for concurrent use.
type days struct {
	sealer  Sealer
	store   audit.Payloads
	replica string

	mu    sync.Mutex
	known map[string]*dataKey
}

// maxKnown bounds how many keys are kept open.
const maxKnown = 64

// keyAAD binds a wrapped key to its id.
func keyAAD(id string) []byte { return []byte("sluice payload key v1\x00" + id) }

// today returns the key of the day that it is, and makes it with the day's first
// payload: it is kept, wrapped, before anything is sealed with it.
func (d *days) today(ctx context.Context, now time.Time) (*dataKey, error) {
	id := now.UTC().Format(dayFormat) + "/" + d.replica
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.known[id]; k != nil {
		return k, nil
	}
	k, err := d.load(ctx, id)
	if !errors.Is(err, ErrShredded) {
		return k, err
	}
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: it ends the program instead
	sealed, err := d.sealer.Seal(keyAAD(id), key)
	if err != nil {
		return nil, err
	}
	if err := d.store.PutKey(ctx, audit.Key{ID: id, Sealed: sealed}); err != nil {
		return nil, err
	}
	return d.keep(id, key)
}

// key returns the key of an id; [ErrShredded] if it is not there any more, even
// where it is still known here: another replica may have deleted it.
func (d *days) key(ctx context.Context, id string) (*dataKey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.load(ctx, id)
}

// load reads a key. d is locked.
func (d *days) load(ctx context.Context, id string) (*dataKey, error) {
	all, err := d.store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if k.ID == id {
			return d.open(k)
		}
	}
	delete(d.known, id)
	return nil, ErrShredded
}

// open unwraps a key. d is locked.
func (d *days) open(k audit.Key) (*dataKey, error) {
	if known := d.known[k.ID]; known != nil {
		return known, nil
	}
	key, err := d.sealer.Open(keyAAD(k.ID), k.Sealed)
	if err != nil {
		return nil, err
	}
	return d.keep(k.ID, key)
}

func (d *days) keep(id string, key []byte) (*dataKey, error) {
	made, err := newDataKey(id, key)
	clear(key)
	if err != nil {
		return nil, err
	}
	if d.known == nil || len(d.known) >= maxKnown {
		d.known = make(map[string]*dataKey)
	}
	d.known[id] = made
	return made, nil
}

// all returns the keys that are there and open; those that don't are counted.
func (d *days) all(ctx context.Context) (keys []*dataKey, closed int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list, err := d.store.Keys(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, k := range list {
		one, err := d.open(k)
		if err != nil {
			closed++
			continue
		}
		keys = append(keys, one)
	}
	return keys, closed, nil
}

// shred deletes the keys of days that ended before a time, and what was sealed
// with them, and gives how many keys. A key goes first: once it is gone nothing of its
// day can be read, whatever becomes of the rest.
func (d *days) shred(ctx context.Context, before time.Time) (n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list, err := d.store.Keys(ctx)
	if err != nil {
		return 0, err
	}
	for _, k := range list {
		name, _, _ := strings.Cut(k.ID, "/")
		day, err := time.Parse(dayFormat, name)
		if err != nil || day.AddDate(0, 0, 1).After(before) {
			continue
		}
		delete(d.known, k.ID)
		if err := d.store.DeleteKey(ctx, k.ID); err != nil {
			return n, err
		}
		n++
		if _, err := d.store.DropPayloads(ctx, k.ID); err != nil {
			return n, err
		}
	}
	return n, nil
}
