package approval

import (
	"context"
	"errors"
	"log/slog"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// endRequests ends the requests whose time is over. Other replicas do the same:
// the first one is heard.
func (e *Engine) endRequests(ctx context.Context) error {
	return e.pages(ctx, store.Query{Kind: KindRequest, State: string(Pending), ExpiresBefore: e.clock.now()}, func(item *store.Item) error {
		if len(item.Body) == 0 {
			return nil // not ours: see clean
		}
		r, err := decodeRequest(item)
		if err != nil {
			e.unreadable(ctx, item, err)
			return nil
		}
		return e.endRequest(ctx, r, Expired)
	})
}

// endRequest ends a request that nobody has decided; that another was faster is
// no error.
func (e *Engine) endRequest(ctx context.Context, r request, state State) error {
	r.State, r.Ended = state, e.clock.now()
	n := noticeOf(r.Request, access.EventExpired)
	n.Reason = endings[state]
	err := e.applyRequest(ctx, r, n)
	if errors.Is(err, store.ErrConflict) {
		return e.refreshRequest(ctx, r.ID)
	}
	if err != nil {
		return err
	}
	e.waiting.wake(parseKey(r.Digest), r.Request)
	return nil
}

// endings say to people why a request ended that nobody decided.
var endings = map[State]string{
	Expired: "nobody decided in time",
	Void:    "the rule that it was made by has changed",
}

// applyRequest writes a request that has changed, and the notification of it.
func (e *Engine) applyRequest(ctx context.Context, r request, n *access.Notification, more ...store.Change) error {
	change, err := e.change(r)
	if err != nil {
		return err
	}
	more = append(more, change)
	if n != nil {
		note, err := e.notify(n)
		if err != nil {
			return err
		}
		more = append(more, note)
	}
	return e.store.Apply(ctx, more...)
}

// endGrants ends the grants whose time is over by either clock.
func (e *Engine) endGrants(ctx context.Context) error {
	for _, l := range e.mirror.all() {
		over := !e.clock.now().Before(l.Until) || e.clock.passed() >= l.ends && !e.clock.now().Before(l.Granted.Add(-slack))
		if l.State == Live && over {
			if err := e.endGrant(ctx, l, Expired); err != nil {
				return err
			}
		}
	}
	return nil
}

// endGrant ends a grant, also one that is being used at the moment.
func (e *Engine) endGrant(ctx context.Context, l *live, state State) error {
	for range attempts {
		copied := *l.Grant
		g := grant{&copied, l.revision}
		g.State, g.Ended = state, e.clock.now()
		change, err := e.changeGrant(g)
		if err != nil {
			return err
		}
		err = e.store.Apply(ctx, change)
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
		if failed := e.refreshGrant(ctx, l.ID); failed != nil || err == nil {
			return failed
		}
		if l = e.mirror.get(l.ID); l == nil || l.State != Live {
			return nil
		}
	}
	return store.ErrConflict
}

// sweep ends what depends on rules that are not in force any more, or were not
// for a while.
func (e *Engine) sweep(ctx context.Context) error {
	select {
	case <-e.loaded:
	default:
		return nil // the first reading of the store ends with a sweep
	}
	e.unsweptMu.Lock()
	since := e.unswept
	e.unsweptMu.Unlock()
	if len(since) == 0 {
		return nil
	}
	holds := func(source Source, guard, definition string) bool {
		for _, rules := range since {
			if !rules.holds(source, guard, parseKey(definition)) {
				return false
			}
		}
		return true
	}
	for _, l := range e.mirror.all() {
		if l.State == Live && !holds(l.Source, l.Guard, l.Definition) {
			if err := e.endGrant(ctx, l, Void); err != nil {
				return err
			}
		}
	}
	err := e.pages(ctx, store.Query{Kind: KindRequest, State: string(Pending)}, func(item *store.Item) error {
		r, err := decodeRequest(item)
		if err != nil {
			e.unreadable(ctx, item, err)
			return nil
		}
		if holds(r.Source, r.Guard, r.Definition) {
			return nil
		}
		return e.endRequest(ctx, r, Void)
	})
	if err != nil {
		return err
	}
	e.unsweptMu.Lock()
	e.unswept = e.unswept[min(len(since), len(e.unswept)):]
	e.unsweptMu.Unlock()
	return nil
}

// clean deletes what was kept for long enough.
func (e *Engine) clean(ctx context.Context) error {
	for _, kind := range []store.Kind{KindRequest, KindGrant, KindAsked, KindBreakGlass} {
		err := e.pages(ctx, store.Query{Kind: kind, ExpiresBefore: e.clock.now()}, func(item *store.Item) error {
			s, now := State(item.State), e.clock.now()
			if (s == Pending || s == Live) && len(item.Body) > 0 && now.Before(item.Expires.Add(e.config.Keep)) {
				return nil // ended first, then kept, unless it can't be read; of what is not ours there is no body
			}
			err := e.store.Apply(ctx, store.Change{Item: *item, Delete: true})
			if errors.Is(err, store.ErrConflict) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// maxTold bounds what is remembered of items that can't be read.
const maxTold = 1024

// unreadable logs once that an item can't be read: see unread.
func (e *Engine) unreadable(ctx context.Context, item *store.Item, err error) {
	if _, known := e.told.Load(item.ID); known {
		return
	}
	if e.tolds.Add(1) > maxTold {
		e.told.Clear()
		e.tolds.Store(1)
	}
	e.told.Store(item.ID, true)
	e.log.LogAttrs(ctx, slog.LevelError, "approvals: an item can't be read", slog.Any("error", err))
}
