package approval

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// Bounds on what callers say, in bytes.
const (
	maxReason = 1 << 10
	maxTicket = 256
	maxShown  = 256 // names of other places: guards, versions, peers
)

// attempts is how often a change is tried that others are faster with: each
// failure means that another one got through.
const attempts = 32

// Owner is the owner that a principal's items have: his id, or a hash of it
// where the store could not keep that.
func Owner(id string) string {
	if len(id) <= store.MaxText && utf8.ValidString(id) && strings.IndexByte(id, 0) < 0 {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// said is text that somebody chose, as it is kept: printable, on one line, and
// not longer than limit.
func said(text string, limit int) string {
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return utf8.RuneError
		}
		return r
	}, text))
}

// request and grant are what was read, and at which revision.
type (
	request struct {
		*Request
		revision int64
	}
	grant struct {
		*Grant
		revision int64
	}
)

func readRequest(ctx context.Context, s store.Store, id string) (request, error) {
	item, err := s.Get(ctx, KindRequest, id)
	if err != nil {
		return request{}, err
	}
	return decodeRequest(&item)
}

func readGrant(ctx context.Context, s store.Store, id string) (grant, error) {
	item, err := s.Get(ctx, KindGrant, id)
	if err != nil {
		return grant{}, err
	}
	return decodeGrant(&item)
}

func decodeRequest(item *store.Item) (request, error) {
	r, err := decode[Request](item)
	return request{r, item.Revision}, unread(err)
}

func decodeGrant(item *store.Item) (grant, error) {
	g, err := decode[Grant](item)
	return grant{g, item.Revision}, unread(err)
}

// unread is why a request or grant is not there that another version has written, or a
// gateway with a key that this one lacks: it lets nobody through, and is in nobody's way.
func unread(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrNotFound, err)
	}
	return nil
}

func decode[T any](item *store.Item) (*T, error) {
	body := new(T)
	if err := json.Unmarshal(item.Body, body); err != nil {
		return nil, fmt.Errorf("approval: %s %s: %w", item.Kind, item.ID, err)
	}
	return body, nil
}

// change is the item of a request as it is to be.
func (e *Engine) change(r request) (store.Change, error) {
	item := store.Item{Kind: KindRequest, ID: r.ID, Revision: r.revision, Owner: Owner(r.Requester.ID()), State: string(r.State), Expires: r.Expires}
	if r.State != Pending {
		item.Expires = r.Ended.Add(e.config.Keep)
	}
	return encode(item, r.Request)
}

func (e *Engine) changeGrant(g grant) (store.Change, error) {
	item := store.Item{Kind: KindGrant, ID: g.ID, Revision: g.revision, Owner: Owner(g.Holder.ID()), State: string(g.State), Expires: g.Until}
	if g.State != Live {
		item.Expires = g.Ended.Add(e.config.Keep)
	}
	return encode(item, g.Grant)
}

func encode(item store.Item, body any) (store.Change, error) {
	data, err := json.Marshal(body)
	item.Body = data
	return store.Change{Item: item}, err
}

// notify is the item that tells people of a change.
func (e *Engine) notify(n *access.Notification) (store.Change, error) {
	now := e.clock.now()
	n.At = now
	return encode(store.Item{Kind: KindNotification, ID: store.NewID(now), Owner: Owner(n.Requester), State: Due}, n)
}

// failed turns a store's trouble into what a caller may hear of it.
func failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ours := access.AsError(err); ours {
		return err
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &access.Error{Kind: access.NotFound, Reason: access.ReasonNotFound, Message: "there is no such request or grant, or not any more", Cause: err}
	case errors.Is(err, store.ErrConflict):
		return &access.Error{
			Kind: access.Unavailable, Reason: access.ReasonConflict, RetryAfter: time.Second, Cause: err,
			Message: "others changed the same at the same time, again and again; try again",
		}
	case errors.Is(err, store.ErrAway):
		return away(err)
	}
	return &access.Error{Kind: access.Internal, Reason: access.ReasonInternal, Message: "internal error; the gateway's log says more", Cause: err}
}

// away is the answer while the store does not.
func away(cause error) *access.Error {
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonStoreAway, RetryAfter: store.Poll, Cause: cause,
		Message: "approvals can't be read or given now, since the store that keeps them does not answer; try again in a few seconds",
	}
}
