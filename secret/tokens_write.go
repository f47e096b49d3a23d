package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-gateway/sluice/store"
)

// write is the new tokens of one answer, which waits for done.
type write struct {
	items []store.Item
	done  chan error
}

// tidyEvery is how often tokens that have ended are deleted, and some of those
// under an old key sealed anew.
const tidyEvery = time.Minute

// Run writes tokens down, those of all answers that wait at once together, until
// ctx ends; it deletes those whose time is over.
func (t *Tokens) Run(ctx context.Context) {
	tidy := time.NewTicker(tidyEvery)
	defer tidy.Stop()
	old := "" // up to here no token is under an old key
	for {
		select {
		case <-ctx.Done():
			t.refuse()
			return
		case w := <-t.queue:
			t.commit(ctx, t.gather(w))
		case <-tidy.C:
			t.expire(ctx)
			old = t.reseal(ctx, old)
		}
	}
}

// refuse ends the waiting of those who came too late.
func (t *Tokens) refuse() {
	for {
		select {
		case w := <-t.queue:
			w.done <- fmt.Errorf("%w: this replica ends", store.ErrAway)
		default:
			return
		}
	}
}

// isWritten tells whether another answer's write had the item meanwhile.
func (t *Tokens) isWritten(item *store.Item) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	ends, found := t.known[item.ID]
	return found && outlasts(ends, item.Expires)
}

// gather takes what waits, as much as one Apply takes.
func (t *Tokens) gather(first *write) []*write {
	all, n := []*write{first}, len(first.items)
	for n < store.MaxChanges {
		select {
		case w := <-t.queue:
			all = append(all, w)
			n += len(w.items)
		default:
			return all
		}
	}
	return all
}

// commit writes all of it and tells who waits.
func (t *Tokens) commit(ctx context.Context, writes []*write) {
	seen := make(map[string]bool)
	var items []store.Item
	for _, w := range writes {
		for _, item := range w.items {
			if !seen[item.ID] && !t.isWritten(&item) {
				seen[item.ID] = true
				items = append(items, item)
			}
		}
	}
	err := t.apply(ctx, items)
	if err == nil {
		t.learn(items)
	} else {
		t.o.Log.LogAttrs(ctx, slog.LevelError, "tokens could not be written", slog.Any("error", err))
	}
	for _, w := range writes {
		w.done <- err
	}
}

// apply writes items, however many.
func (t *Tokens) apply(ctx context.Context, items []store.Item) error {
	for len(items) > 0 {
		n := min(len(items), store.MaxChanges)
		if err := t.page(ctx, items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// page writes what one Apply takes. Where others have written some of it, the rest
// is written, and the end of those that stay is moved on.
func (t *Tokens) page(ctx context.Context, items []store.Item) error {
	err := error(nil)
	for range 3 {
		changes := make([]store.Change, len(items))
		for i := range changes {
			changes[i].Item = items[i]
		}
		if err = t.o.Store.Apply(ctx, changes...); !errors.Is(err, store.ErrConflict) {
			return err
		}
		if items, err = t.missing(ctx, items); err != nil || len(items) == 0 {
			return err
		}
	}
	return store.ErrConflict
}

// missing are those of items that are to be written still, each with the revision
// that it is written over.
func (t *Tokens) missing(ctx context.Context, items []store.Item) (rest []store.Item, err error) {
	for _, item := range items {
		have, err := t.o.Store.Get(ctx, KindToken, item.ID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			item.Revision = 0
		case err != nil:
			return nil, err
		case t.opens(&have) && outlasts(have.Expires, item.Expires):
			continue
		default:
			item.Revision = have.Revision
		}
		rest = append(rest, item)
	}
	return rest, nil
}

// outlasts tells whether what ends at one time is there until another; the zero
// time is never.
func outlasts(ends, until time.Time) bool {
	return ends.IsZero() || !until.IsZero() && !ends.Before(until)
}

// opens tells whether an item is what was sealed there: one that somebody put
// there is written over.
func (t *Tokens) opens(item *store.Item) bool {
	text, err := t.o.Ring.Open(item.Body, tokenAt(item.ID, item.State)...)
	text.Wipe()
	return err == nil
}

// expire deletes what has ended. The clock is read before it is asked whether it is
// believed, and anew for each page: what was read is good then.
func (t *Tokens) expire(ctx context.Context) {
	for {
		now := t.o.Now()
		if !t.o.Believed() {
			return
		}
		items, err := t.o.Store.List(ctx, store.Query{Kind: KindToken, ExpiresBefore: now})
		if err != nil || len(items) == 0 {
			return
		}
		changes := make([]store.Change, len(items))
		for i, item := range items {
			changes[i] = store.Change{Item: item, Delete: true}
		}
		t.forget(items)
		if t.o.Store.Apply(ctx, changes...) != nil {
			return // another replica does it, or the next time
		}
	}
}

func (t *Tokens) forget(items []store.Item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, item := range items {
		delete(t.known, item.ID)
		delete(t.old, item.ID)
	}
}

// reseal seals anew a page of tokens that are under an old key, and returns where
// to go on the next time.
func (t *Tokens) reseal(ctx context.Context, after string) string {
	items, err := t.o.Store.List(ctx, store.Query{Kind: KindToken, After: after})
	if err != nil || len(items) == 0 {
		return after
	}
	var changes []store.Change
	for _, item := range items {
		if t.o.Ring.Current(item.Body) {
			continue
		}
		text, err := t.o.Ring.Open(item.Body, tokenAt(item.ID, item.State)...)
		if err != nil {
			continue
		}
		text.Open(func(b []byte) { item.Body, err = t.o.Ring.Seal(b, tokenAt(item.ID, item.State)...) })
		text.Wipe()
		if err == nil {
			changes = append(changes, store.Change{Item: item})
		}
	}
	if len(changes) > 0 && t.o.Store.Apply(ctx, changes...) != nil {
		return after
	}
	return items[len(items)-1].ID
}
