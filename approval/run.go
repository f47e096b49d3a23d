package approval

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sluice-gateway/sluice/store"
)

// cleaning is how often old items are deleted.
const cleaning = 10 * time.Minute

// Run keeps the engine up to date until ctx ends: it hears of changes of other
// replicas, ends what has expired, and deletes what is old. When ctx ends, the
// calls that are held end with UNAVAILABLE and the ids of their requests, and so
// does each that would have to wait from then on. It is called once.
func (e *Engine) Run(ctx context.Context) {
	defer close(e.stopped)
	hints := e.store.Watch(ctx, KindRequest, KindGrant)
	clean := time.NewTicker(cleaning)
	defer clean.Stop()
	away := false
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case hint, open := <-hints:
			if !open {
				<-ctx.Done() // the store was closed first
				return
			}
			err = e.hear(ctx, hint)
		case <-e.replaced:
			err = e.sweep(ctx)
		case <-clean.C:
			err = e.clean(ctx)
		}
		if ctx.Err() == nil && (err != nil) != away {
			away = e.report(ctx, err)
		}
	}
}

// report logs that the store is away, or back, once.
func (e *Engine) report(ctx context.Context, err error) bool {
	if err != nil {
		e.log.LogAttrs(ctx, slog.LevelWarn, "approvals: the store does not answer; grants are used from memory for a minute", slog.Any("error", err))
		return true
	}
	e.log.LogAttrs(ctx, slog.LevelInfo, "approvals: the store answers again")
	return false
}

// hear reads again what a hint is about.
func (e *Engine) hear(ctx context.Context, hint store.Hint) error {
	switch {
	case hint.Kind == KindGrant && hint.ID != "":
		return e.refreshGrant(ctx, hint.ID)
	case hint.Kind == KindGrant:
		if err := e.refreshGrants(ctx); err != nil {
			return err
		}
		select {
		case <-e.loaded:
		default:
			close(e.loaded)
		}
		if err := e.endGrants(ctx); err != nil {
			return err
		}
		return e.sweep(ctx) // where that failed before
	case hint.ID != "":
		if !e.waiting.waitsFor(hint.ID) {
			return nil
		}
		return e.refreshRequest(ctx, hint.ID)
	}
	return errors.Join(e.endRequests(ctx), e.refreshRequests(ctx)) // a store that reads and does not write still tells what was decided
}

// refreshGrant reads one grant again.
func (e *Engine) refreshGrant(ctx context.Context, id string) error {
	at := e.clock.passed()
	g, err := readGrant(ctx, e.store, id)
	if errors.Is(err, store.ErrNotFound) {
		e.mirror.drop(id)
		return nil
	}
	if err != nil {
		return err
	}
	e.mirror.put(g, &e.clock, at)
	return nil
}

// refreshGrants reads all live grants again, and each that memory has and the
// list has not: it may have been revoked, which streams have to hear of, or
// have been made after the list was.
func (e *Engine) refreshGrants(ctx context.Context) error {
	at := e.clock.passed()
	before := e.mirror.all()
	listed := make(map[string]bool)
	err := e.pages(ctx, store.Query{Kind: KindGrant, State: string(Live)}, func(item *store.Item) error {
		listed[item.ID] = true
		if l := e.mirror.get(item.ID); l != nil && l.revision == item.Revision {
			l.seen.Store(max(l.seen.Load(), int64(at)))
			return nil
		}
		g, err := decodeGrant(item)
		if err != nil {
			e.unreadable(ctx, item, err)
			return nil
		}
		e.mirror.put(g, &e.clock, at)
		return nil
	})
	if err != nil {
		return err
	}
	for _, l := range before {
		switch {
		case listed[l.ID]:
		case l.over.Load() != notOver:
			e.mirror.drop(l.ID)
		default:
			if err := e.refreshGrant(ctx, l.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// pages calls f with every item that q finds.
func (e *Engine) pages(ctx context.Context, q store.Query, f func(*store.Item) error) error {
	for {
		items, err := e.store.List(ctx, q)
		if err != nil {
			return err
		}
		for i := range items {
			if err := f(&items[i]); err != nil {
				return err
			}
		}
		if len(items) == 0 || len(items) < q.Limit || q.Limit == 0 && len(items) < store.MaxPage {
			return nil
		}
		q.After = items[len(items)-1].ID
	}
}

// refreshRequest reads one request again, and wakes the calls that wait for it
// if it was decided.
func (e *Engine) refreshRequest(ctx context.Context, id string) error {
	r, err := readRequest(ctx, e.store, id)
	if errors.Is(err, store.ErrNotFound) {
		e.waiting.wakeID(id)
		return nil
	}
	if err != nil {
		return err
	}
	return e.learn(ctx, r)
}

// learn takes over what has become of a request. Its grant is read before its
// calls are woken, so that they find it.
func (e *Engine) learn(ctx context.Context, r request) error {
	if r.State == Pending {
		return nil
	}
	if r.Grant != "" {
		if err := e.refreshGrant(ctx, r.Grant); err != nil {
			return err
		}
	}
	e.waiting.wake(parseKey(r.Digest), r.Request)
	return nil
}

// few is up to how many requests are read one by one rather than all at once.
const few = 16

// refreshRequests reads again what calls wait for.
func (e *Engine) refreshRequests(ctx context.Context) error {
	ids := e.waiting.ids()
	if len(ids) > few {
		err := e.pages(ctx, store.Query{Kind: KindRequest, State: string(Pending)}, func(item *store.Item) error {
			delete(ids, item.ID)
			return nil
		})
		if err != nil {
			return err
		}
	}
	for id := range ids {
		if err := e.refreshRequest(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
