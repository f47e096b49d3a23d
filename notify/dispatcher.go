package notify

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

const (
	// firstPause and longestPause are the waits between attempts; the first is
	// what watches poll at, so that nothing else has to wake the dispatcher.
	firstPause   = store.Poll
	longestPause = 15 * time.Minute
	// sendTimeout bounds one attempt, lease how long others leave it to the one
	// who makes it: should he die, another replica sends it then.
	sendTimeout = 15 * time.Second
	lease       = 2 * sendTimeout
	// page is how much of the outbox is taken at once, and sending how many
	// messages one channel is sent at once.
	page    = 100
	sending = 4
	// keepFailed is how long what could not be sent is kept.
	keepFailed = 7 * 24 * time.Hour
	// sweepEvery is how often what nobody takes is looked for.
	sweepEvery = time.Minute
)

// Entry is a channel with what it hears of.
type Entry struct {
	Config  Config
	Channel Channel
	Texts   *Texts

	busy atomic.Bool
}

// Options are what a [Dispatcher] may be told.
type Options struct {
	// Logger hears what could not be sent; nobody if nil.
	Logger *slog.Logger
	// Sent hears how each attempt ended: "sent", "failed" or, after the last,
	// "gave_up"; it is for metrics. It must not block.
	Sent func(channel, result string)
	// Now is the time; time.Now if nil.
	Now func() time.Time
}

// Dispatcher takes what is due from the store and hands it to channels. Several
// may run on one store; each message is sent by one of them at a time.
type Dispatcher struct {
	store   store.Store
	o       Options
	entries atomic.Pointer[[]*Entry]
	sending sync.WaitGroup
}

// New returns a dispatcher without channels: what is due is taken out of the
// outbox and told nobody, until [Dispatcher.Replace].
func New(s store.Store, o Options) *Dispatcher {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Sent == nil {
		o.Sent = func(string, string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Dispatcher{store: s, o: o}
	d.entries.Store(new([]*Entry))
	return d
}

// Replace puts other channels in force; what is on its way to one of the same name
// goes on with the new one.
func (d *Dispatcher) Replace(entries []*Entry) { d.entries.Store(&entries) }

// Run sends until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) {
	defer d.sending.Wait()
	var swept time.Time
	away := false
	for range d.store.Watch(ctx, Kind) {
		err := d.take(ctx)
		if err != nil && !away && ctx.Err() == nil {
			d.o.Logger.LogAttrs(ctx, slog.LevelWarn, "notifications wait in the store", slog.Any("error", err))
		}
		away = err != nil
		for _, e := range *d.entries.Load() {
			if e.busy.CompareAndSwap(false, true) {
				d.sending.Go(func() {
					defer e.busy.Store(false)
					d.drain(ctx, e)
				})
			}
		}
		if now := d.o.Now(); now.Sub(swept) >= sweepEvery {
			swept = now
			d.sweep(ctx, now)
		}
	}
}

// take turns each notification into deliveries, one for each channel that wants
// it, in one change: no channel is forgotten or told twice by that.
func (d *Dispatcher) take(ctx context.Context) error {
	q := store.Query{Kind: Kind, State: Due, Limit: page}
	for {
		items, err := d.store.List(ctx, q)
		if err != nil {
			return err
		}
		for _, item := range items {
			if err := d.split(ctx, item); err != nil && !errors.Is(err, store.ErrConflict) {
				return err // a conflict is another replica that was faster
			}
		}
		if len(items) < page {
			return nil
		}
		q.After = items[len(items)-1].ID
	}
}

func (d *Dispatcher) split(ctx context.Context, item store.Item) error {
	var n access.Notification
	if err := json.Unmarshal(item.Body, &n); err != nil {
		d.o.Logger.LogAttrs(ctx, slog.LevelError, "a notification can't be read", slog.String("id", item.ID), slog.Any("error", err))
		item.State, item.Expires = Failed, d.o.Now().Add(keepFailed)
		return d.store.Apply(ctx, store.Change{Item: item})
	}
	now := d.o.Now()
	changes := []store.Change{{Item: item, Delete: true}}
	for _, e := range *d.entries.Load() {
		if !e.Config.Wants(&n) {
			continue
		}
		body, err := json.Marshal(delivery{ID: item.ID, Since: now, Notification: n})
		if err != nil {
			return err
		}
		changes = append(changes, store.Change{Item: store.Item{
			Kind: KindDelivery, ID: item.ID + "." + e.Config.Name, Owner: e.Config.Name, State: Due, Expires: now, Body: body,
		}})
	}
	return d.store.Apply(ctx, changes...)
}

// sweep ends what belongs to channels that are not there any more, and deletes
// what has failed long ago and links that have ended.
func (d *Dispatcher) sweep(ctx context.Context, now time.Time) {
	for _, q := range []store.Query{
		{Kind: KindDelivery, State: Due, ExpiresBefore: now.Add(-maxGiveUp), Limit: page},
		{Kind: KindDelivery, State: Failed, ExpiresBefore: now, Limit: page},
		{Kind: Kind, State: Failed, ExpiresBefore: now, Limit: page},
		{Kind: KindCode, ExpiresBefore: now, Limit: page},
		{Kind: KindLink, ExpiresBefore: now, Limit: page},
		{Kind: KindSeen, ExpiresBefore: now, Limit: store.MaxPage},
	} {
		items, err := d.store.List(ctx, q)
		if err != nil {
			return // the next time
		}
		for _, item := range items {
			_ = d.store.Apply(ctx, store.Change{Item: item, Delete: true}) // or another has, or the next time
		}
	}
}

// jitter shortens a pause by up to a half, so that what failed at once is not
// tried again at once.
func jitter(pause time.Duration) time.Duration { return pause - rand.N(pause/2) }

// backoff is how long to wait after a number of attempts, before chance shortens
// it by up to a half.
func backoff(attempts int) time.Duration {
	return min(firstPause<<min(attempts-1, 20), longestPause)
}
