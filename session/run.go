package session

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/store"
)

const (
	// snapshotEvery is how soon the other replicas hear of sessions that have come
	// or gone, countsEvery of what was called in them.
	snapshotEvery = 3 * time.Second
	countsEvery   = 15 * time.Second
	// snapshotLife is how long a snapshot is believed; it is written again before.
	snapshotLife = time.Minute
	// minAge keeps sessions out of snapshots that come and go.
	minAge = 2 * time.Second
	// maxSnapshot and snapshotBytes bound a snapshot.
	maxSnapshot   = 1000
	snapshotBytes = store.MaxBody / 2
	// cleanEvery is how often what has expired is deleted, expiredAfter how long
	// ago that was: clocks differ.
	cleanEvery   = 10 * time.Minute
	expiredAfter = time.Hour
	// replicaPage bounds what one page of snapshots can take in memory.
	replicaPage = 16
	// stopTime bounds the last words to the store.
	stopTime = 2 * time.Second
)

// Load reads who is kept out. It is called before the doors open: a replica that
// does not know it would let everybody in.
func (r *Registry) Load(ctx context.Context) error {
	if r.store == nil {
		return nil
	}
	return r.refresh(ctx)
}

// Run keeps the registry and the store in step until ctx ends. Without a store it
// only waits for that.
func (r *Registry) Run(ctx context.Context) {
	if r.store == nil {
		<-ctx.Done()
		return
	}
	watch := r.store.Watch(ctx, KindEnded)
	hints := watch
	tick := time.NewTicker(snapshotEvery)
	defer tick.Stop()
	clean := time.NewTicker(cleanEvery)
	defer clean.Stop()
	var w writer
	trouble := troubles{}
	for {
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
			defer cancel()
			r.forgetSnapshot(end, &w)
			for range watch { // until it is closed, and its goroutine has ended
				continue
			}
			return
		case _, open := <-hints:
			if open {
				trouble.tell(ctx, r.log, "reading who is kept out", r.refresh(ctx))
			} else {
				hints = nil // ctx has ended
			}
		case <-tick.C:
			trouble.tell(ctx, r.log, "writing which sessions there are", r.write(ctx, &w))
		case <-clean.C:
			trouble.tell(ctx, r.log, "deleting what has expired", r.clean(ctx))
		}
	}
}

// troubles are what fails at the moment: each is told of once.
type troubles map[string]bool

func (t troubles) tell(ctx context.Context, log *slog.Logger, what string, err error) {
	if ctx.Err() != nil {
		return
	}
	if err != nil && !t[what] {
		log.LogAttrs(ctx, slog.LevelWarn, "sessions: what is known stays in force, and others do not hear of it yet", slog.String("doing", what), slog.Any("error", err))
	}
	t[what] = err != nil
}

// refresh reads who is kept out and ends what is to be ended. What the store was
// not told yet it is told now, and stays in force if that fails.
func (r *Registry) refresh(ctx context.Context) error {
	r.syncing.Lock()
	defer r.syncing.Unlock()
	var failed error
	for _, e := range r.untold() {
		if err := r.put(ctx, e); err != nil {
			failed = errors.Join(failed, err)
		} else {
			r.told(e)
		}
	}
	kept, err := r.readEnded(ctx)
	if err != nil {
		return errors.Join(failed, err)
	}
	r.obey(kept)
	return failed
}

func (r *Registry) untold() (all []*Ended) {
	r.ending.Lock()
	defer r.ending.Unlock()
	for _, e := range r.pending {
		all = append(all, e)
	}
	return all
}

// readEnded reads all that the store has of what was ended and is not over.
func (r *Registry) readEnded(ctx context.Context) (all []*Ended, err error) {
	now := r.now()
	for after := ""; ; {
		items, err := r.store.List(ctx, store.Query{Kind: KindEnded, After: after})
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			e := new(Ended)
			if json.Unmarshal(item.Body, e) != nil && item.Owner != "" { // written by another version
				e = &Ended{Principal: item.Owner, At: now, Until: item.Expires}
			}
			if !r.over(e, now) && e.Principal+e.Session != "" {
				all = append(all, e)
			}
		}
		if len(items) < store.MaxPage {
			return all, nil
		}
		after = items[len(items)-1].ID
	}
}

// obey puts in force what the store says.
func (r *Registry) obey(kept []*Ended) {
	fresh, sessions := r.replace(kept)
	for _, e := range fresh {
		r.stop(func(s *live) bool { return s.principal.ID() == e.Principal }, e.refusal())
	}
	for _, e := range sessions {
		r.stop(func(s *live) bool { return s.id == e.Session }, e.killed())
	}
}

// replace makes the store's word, and what it was not told yet, the one in force.
// It returns what is new.
func (r *Registry) replace(kept []*Ended) (fresh, sessions []*Ended) {
	r.ending.Lock()
	defer r.ending.Unlock()
	before := *r.ended.Load()
	next := make(map[string]*Ended, len(kept))
	for _, e := range kept {
		switch {
		case e.Session == "":
			next[e.Principal] = e
			if old := before[e.Principal]; old == nil || !old.At.Equal(e.At) {
				fresh = append(fresh, e)
			}
		case r.heard[e.Session].IsZero():
			r.heard[e.Session] = e.Until
			sessions = append(sessions, e)
		}
	}
	for id, e := range r.pending {
		if there := next[id]; there == nil || there.before(e) {
			next[id] = e
		}
	}
	for id, until := range r.heard {
		if r.now().After(until) {
			delete(r.heard, id)
		}
	}
	r.ended.Store(&next)
	return fresh, sessions
}

// writer remembers what was written last.
type writer struct {
	revision int64
	at       time.Time
	empty    bool
}

// write writes the snapshot if there is something to say.
func (r *Registry) write(ctx context.Context, w *writer) error {
	changed := r.changed.Swap(false)
	since := r.now().Sub(w.at)
	if !changed && (since < countsEvery || w.empty && w.revision == 0) {
		return nil
	}
	s, young := r.snapshot()
	if young {
		r.changed.Store(true) // they will be old enough next time
	}
	if len(s.Sessions) == 0 {
		w.empty, w.at = true, r.now()
		return r.forgetSnapshot(ctx, w)
	}
	body, err := json.Marshal(s)
	for err == nil && len(body) > snapshotBytes {
		s.Left += len(s.Sessions) - len(s.Sessions)/2
		s.Sessions = s.Sessions[:len(s.Sessions)/2]
		body, err = json.Marshal(s)
	}
	if err != nil {
		return err
	}
	item := store.Item{Kind: KindReplica, ID: r.item, Revision: w.revision, Owner: r.replica, Expires: r.now().Add(snapshotLife), Body: body}
	if err = r.store.Apply(ctx, store.Change{Item: item}); err == nil {
		w.revision, w.at, w.empty = w.revision+1, r.now(), false
		return nil
	}
	r.changed.Store(true)
	if errors.Is(err, store.ErrConflict) { // an earlier write came to pass without an answer
		there, gone := r.store.Get(ctx, KindReplica, r.item)
		w.revision = there.Revision
		if errors.Is(gone, store.ErrNotFound) {
			w.revision = 0
		}
		return nil
	}
	return err
}

// snapshot is what the others are to know: not those that are just being made,
// which young tells of, and the last used ones if there are too many.
func (r *Registry) snapshot() (s snapshot, young bool) {
	s = snapshot{Replica: r.replica, Sessions: r.local()}
	oldest := r.now().Add(-minAge)
	s.Sessions = slices.DeleteFunc(s.Sessions, func(i Info) bool {
		early := i.Since.After(oldest)
		young = young || early
		return early
	})
	if len(s.Sessions) > maxSnapshot {
		slices.SortFunc(s.Sessions, func(a, b Info) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID)) })
		s.Left = len(s.Sessions) - maxSnapshot
		s.Sessions = s.Sessions[:maxSnapshot]
	}
	return s, young
}

func (r *Registry) forgetSnapshot(ctx context.Context, w *writer) error {
	if w.revision == 0 {
		return nil
	}
	item := store.Item{Kind: KindReplica, ID: r.item, Revision: w.revision}
	err := r.store.Apply(ctx, store.Change{Item: item, Delete: true})
	if err == nil || errors.Is(err, store.ErrConflict) {
		w.revision = 0
		return nil
	}
	return err
}

// clean deletes what has expired; another replica may do the same. Who is kept out
// stays while the clock may be wrong.
func (r *Registry) clean(ctx context.Context) error {
	before := r.now().Add(-expiredAfter)
	kinds := []store.Kind{KindReplica}
	if r.believed() {
		kinds = append(kinds, KindEnded)
	}
	for _, kind := range kinds {
		items, err := r.store.List(ctx, store.Query{Kind: kind, ExpiresBefore: before, Limit: 100})
		if err != nil {
			return err
		}
		for _, item := range items {
			if err := r.store.Apply(ctx, store.Change{Item: item, Delete: true}); err != nil && !errors.Is(err, store.ErrConflict) {
				return err
			}
		}
	}
	return nil
}
