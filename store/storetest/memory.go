// Package storetest has what tests of stores and of their users share: [Run] is
// the suite that every store passes, [Memory] a store for tests of all else,
// which also runs in the bubble of testing/synctest. No program uses it.
package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/store"
)

// Memory is a store that keeps items as long as the test lasts. It can be made
// to be away, and opened again to stand for another replica.
type Memory struct {
	db  *memory
	hub store.Hub

	mu     sync.Mutex
	away   error
	closed bool
	before func(op string, changes []store.Change) error
}

var _ store.Store = (*Memory)(nil)

// memory is what several stores on one database share.
type memory struct {
	mu     sync.Mutex
	items  map[store.Kind]map[string]store.Item
	stores []*Memory
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return (&memory{items: make(map[store.Kind]map[string]store.Item)}).open()
}

func (db *memory) open() *Memory {
	m := &Memory{db: db}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.stores = append(db.stores, m)
	return m
}

// Again opens another store on the same items, as another replica would.
func (m *Memory) Again() *Memory { return m.db.open() }

// SetAway makes each call fail with [store.ErrAway], or work again. Other stores
// on the same items are not touched.
func (m *Memory) SetAway(away bool) {
	m.mu.Lock()
	m.away = nil
	if away {
		m.away = store.Away(errors.New("the test says so"))
	}
	m.mu.Unlock()
	if !away {
		m.hub.TellAll()
	}
}

// Before sets what is called before each call ("get", "list", "apply", "ping");
// its error is the call's, and nothing is done then.
func (m *Memory) Before(f func(op string, changes []store.Change) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = f
}

func (m *Memory) begin(ctx context.Context, op string, changes []store.Change) error {
	m.mu.Lock()
	away, closed, before := m.away, m.closed, m.before
	m.mu.Unlock()
	if before != nil {
		if err := before(op, changes); err != nil {
			return err
		}
	}
	if closed {
		return store.Away(errors.New("the store is closed"))
	}
	if away != nil {
		return away
	}
	return store.Away(ctx.Err())
}

// Get is [store.Store]'s.
func (m *Memory) Get(ctx context.Context, kind store.Kind, id string) (store.Item, error) {
	if err := store.CheckKey(kind, id); err != nil {
		return store.Item{}, err
	}
	if err := m.begin(ctx, "get", nil); err != nil {
		return store.Item{}, err
	}
	m.db.mu.Lock()
	defer m.db.mu.Unlock()
	item, ok := m.db.items[kind][id]
	if !ok {
		return store.Item{}, store.ErrNotFound
	}
	item.Body = bytes.Clone(item.Body)
	return item, nil
}

// List is [store.Store]'s.
func (m *Memory) List(ctx context.Context, q store.Query) ([]store.Item, error) {
	q, err := q.Checked()
	if err != nil {
		return nil, err
	}
	if err := m.begin(ctx, "list", nil); err != nil {
		return nil, err
	}
	before := store.Millis(q.ExpiresBefore)
	m.db.mu.Lock()
	defer m.db.mu.Unlock()
	var found []store.Item
	for id, item := range m.db.items[q.Kind] {
		if id > q.After && (q.Owner == "" || q.Owner == item.Owner) && (q.State == "" || q.State == item.State) &&
			(before.IsZero() || !item.Expires.IsZero() && item.Expires.Before(before)) {
			item.Body = bytes.Clone(item.Body)
			found = append(found, item)
		}
	}
	slices.SortFunc(found, func(a, b store.Item) int { return cmp.Compare(a.ID, b.ID) })
	return found[:min(len(found), q.Limit)], nil
}

// Apply is [store.Store]'s.
func (m *Memory) Apply(ctx context.Context, changes ...store.Change) error {
	if err := store.CheckChanges(changes); err != nil {
		return err
	}
	if err := m.begin(ctx, "apply", changes); err != nil {
		return err
	}
	m.db.mu.Lock()
	defer m.db.mu.Unlock()
	for _, c := range changes {
		if m.db.items[c.Kind][c.ID].Revision != c.Revision {
			return store.ErrConflict
		}
	}
	hints := make([]store.Hint, 0, len(changes))
	for _, c := range changes {
		m.db.put(c)
		hints = append(hints, store.Hint{Kind: c.Kind, ID: c.ID})
	}
	for _, other := range m.db.stores {
		other.hub.Tell(hints...)
	}
	return nil
}

func (db *memory) put(c store.Change) {
	if c.Delete {
		delete(db.items[c.Kind], c.ID)
		return
	}
	if db.items[c.Kind] == nil {
		db.items[c.Kind] = make(map[string]store.Item)
	}
	item := c.Item
	item.Revision++
	item.Expires = store.Millis(item.Expires)
	item.Body = bytes.Clone(item.Body)
	db.items[c.Kind][c.ID] = item
}

// Watch is [store.Store]'s.
func (m *Memory) Watch(ctx context.Context, kinds ...store.Kind) <-chan store.Hint {
	return m.hub.Watch(ctx, kinds...)
}

// Ping is [store.Store]'s.
func (m *Memory) Ping(ctx context.Context) error { return m.begin(ctx, "ping", nil) }

// Close is [store.Store]'s. The items stay for other stores on them.
func (m *Memory) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.hub.Close()
	return nil
}
