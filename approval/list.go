package approval

import (
	"context"

	"github.com/sluice-gateway/sluice/store"
)

// Filter says which requests or grants are asked for. Empty fields ask for all.
type Filter struct {
	State State
	// Owner is the id of the requester or holder ("issuer#subject").
	Owner string
	// After is the last id of the page before; Limit is at most [store.MaxPage].
	After string
	Limit int
}

// Get returns a request; who may see it is the caller's to decide.
func (e *Engine) Get(ctx context.Context, id string) (*Request, error) {
	r, err := readRequest(ctx, e.store, id)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return r.Request, nil
}

// List returns a page of requests, oldest first.
func (e *Engine) List(ctx context.Context, f Filter) ([]*Request, error) {
	return list[Request](ctx, e, KindRequest, f)
}

// ListGrants returns a page of grants, oldest first.
func (e *Engine) ListGrants(ctx context.Context, f Filter) ([]*Grant, error) {
	return list[Grant](ctx, e, KindGrant, f)
}

// Held is how many calls this replica holds for a request.
func (e *Engine) Held(request string) int { return e.waiting.calls(request) }

func list[T any](ctx context.Context, e *Engine, kind store.Kind, f Filter) ([]*T, error) {
	q := store.Query{Kind: kind, State: string(f.State), After: f.After, Limit: f.Limit}
	if f.Owner != "" {
		q.Owner = Owner(f.Owner)
	}
	for {
		items, err := e.store.List(ctx, q)
		if err != nil {
			return nil, failed(ctx, err)
		}
		all := make([]*T, 0, len(items))
		for i := range items {
			if body, err := decode[T](&items[i]); err == nil {
				all = append(all, body)
			} // else nobody sees it, nor what follows for it
		}
		if len(all) > 0 || len(items) == 0 {
			return all, nil
		}
		q.After = items[len(items)-1].ID
	}
}
