package notify

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// delivery is the body of an item of [KindDelivery].
type delivery struct {
	// ID is the notification's.
	ID string `json:"id"`
	// Since is when it was due first, Attempts how often it was tried.
	Since        time.Time           `json:"since"`
	Attempts     int                 `json:"attempts"`
	Error        string              `json:"error,omitempty"`
	Notification access.Notification `json:"notification"`
}

// drain sends what is due to one channel, a few at a time, until nothing is.
func (d *Dispatcher) drain(ctx context.Context, e *Entry) {
	for ctx.Err() == nil {
		items, err := d.store.List(ctx, store.Query{
			Kind: KindDelivery, Owner: e.Config.Name, State: Due, ExpiresBefore: d.o.Now().Add(time.Millisecond), Limit: sending,
		})
		if err != nil || len(items) == 0 {
			return // the next hint
		}
		var all sync.WaitGroup
		var moved atomic.Bool
		for _, item := range items {
			all.Go(func() {
				if d.deliver(ctx, e, item) {
					moved.Store(true)
				}
			})
		}
		all.Wait()
		if !moved.Load() {
			return // a store that can be read and not written has the same for ever
		}
	}
}

// deliver makes one attempt, if this replica gets the lease. It tells whether the
// delivery is not as it was.
func (d *Dispatcher) deliver(ctx context.Context, e *Entry, item store.Item) bool {
	var todo delivery
	if err := json.Unmarshal(item.Body, &todo); err != nil {
		return d.give(ctx, e, item, todo, "it can't be read")
	}
	now := d.o.Now()
	if todo.Attempts > 0 && now.Sub(todo.Since) > e.Config.GiveUp {
		return d.give(ctx, e, item, todo, todo.Error)
	}
	todo.Attempts++
	item.Expires = now.Add(lease)
	if !d.put(ctx, &item, todo) {
		return false // another replica's, or the store is away
	}
	err := d.send(ctx, e, todo)
	if ctx.Err() != nil && err != nil {
		return true // the gateway ends; the lease does too
	}
	d.done(context.WithoutCancel(ctx), e, item, todo, err)
	return true
}

// done marks how an attempt has ended, even if the gateway is just ending.
func (d *Dispatcher) done(ctx context.Context, e *Entry, item store.Item, todo delivery, err error) {
	if err == nil {
		d.o.Sent(e.Config.Name, "sent")
		if err := d.store.Apply(ctx, store.Change{Item: item, Delete: true}); err != nil {
			d.o.Logger.LogAttrs(ctx, slog.LevelWarn, "a notification was sent, and will be again", slog.String("channel", e.Config.Name), slog.String("id", todo.ID), slog.Any("error", err))
		}
		return
	}
	d.o.Sent(e.Config.Name, "failed")
	d.o.Logger.LogAttrs(ctx, slog.LevelWarn, "a notification was not sent", slog.String("channel", e.Config.Name), slog.String("id", todo.ID), slog.Int("attempts", todo.Attempts), slog.Any("error", err))
	todo.Error = cut(err.Error(), maxField)
	item.Expires = d.o.Now().Add(jitter(backoff(todo.Attempts)))
	d.put(ctx, &item, todo)
}

func (d *Dispatcher) send(ctx context.Context, e *Entry, todo delivery) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	m, err := e.Texts.Write(todo.ID, todo.Notification, e.Config.Page)
	if err != nil {
		return err
	}
	return e.Channel.Send(ctx, m)
}

// put writes the delivery as it is now; item is then what is kept.
func (d *Dispatcher) put(ctx context.Context, item *store.Item, todo delivery) bool {
	body, err := json.Marshal(todo)
	if err != nil {
		return false
	}
	item.Body = body
	if d.store.Apply(ctx, store.Change{Item: *item}) != nil {
		return false
	}
	item.Revision++
	return true
}

// give gives up.
func (d *Dispatcher) give(ctx context.Context, e *Entry, item store.Item, todo delivery, why string) bool {
	item.State, item.Expires = Failed, d.o.Now().Add(keepFailed)
	if d.store.Apply(ctx, store.Change{Item: item}) != nil {
		return false
	}
	d.o.Sent(e.Config.Name, "gave_up")
	d.o.Logger.LogAttrs(ctx, slog.LevelError, "a notification could not be sent, and will not be", slog.String("channel", e.Config.Name), slog.String("id", todo.ID), slog.Int("attempts", todo.Attempts), slog.String("error", why))
	return true
}
