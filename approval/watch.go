package approval

import (
	"context"
	"errors"

	"github.com/sluice-gateway/sluice/store"
)

// Watch sends each pending request, and then each request that changes, as it is
// then, until ctx ends, which closes the channel. A slow reader gets the newest
// state of each, not every one between.
func (e *Engine) Watch(ctx context.Context) <-chan *Request {
	w := &watch{engine: e, out: make(chan *Request), seen: make(map[string]int64), over: make(map[string]bool)}
	go func() {
		defer close(w.out)
		w.run(ctx)
	}()
	return w.out
}

// watch is one reader's. seen are the requests that it has sent, by revision:
// those that are pending, and until the second look at all of them those that were,
// which are over from the first: a hint of the end may come after it.
type watch struct {
	engine *Engine
	out    chan *Request
	seen   map[string]int64
	over   map[string]bool
}

func (w *watch) run(ctx context.Context) {
	for hint := range w.engine.store.Watch(ctx, KindRequest) {
		if hint.ID != "" {
			_ = w.one(ctx, hint.ID)
			continue
		}
		missing := make(map[string]bool, len(w.seen))
		for id := range w.seen {
			missing[id] = true
		}
		err := w.engine.pages(ctx, store.Query{Kind: KindRequest, State: string(Pending)}, func(item *store.Item) error {
			delete(missing, item.ID)
			if w.seen[item.ID] < item.Revision {
				r, err := decodeRequest(item)
				if err != nil {
					w.engine.unreadable(ctx, item, err)
					return nil
				}
				w.send(ctx, r)
			}
			return nil
		})
		if err != nil {
			continue // the next hint comes in a few seconds at the latest
		}
		for id := range missing {
			switch {
			case w.over[id]:
				delete(w.seen, id)
				delete(w.over, id)
			case w.one(ctx, id):
				w.over[id] = true // decided, and told of
			}
		}
	}
}

// one sends a request if it is not the one that was sent last, and tells whether
// there is nothing more to come of it.
func (w *watch) one(ctx context.Context, id string) (over bool) {
	r, err := readRequest(ctx, w.engine.store, id)
	if err != nil {
		return errors.Is(err, store.ErrNotFound)
	}
	if w.seen[id] < r.revision {
		w.send(ctx, r)
	}
	return r.State != Pending
}

func (w *watch) send(ctx context.Context, r request) {
	select {
	case w.out <- r.Request:
	case <-ctx.Done():
		return
	}
	w.seen[r.ID] = r.revision
}
