// Package notify tells people what package approval has written into the outbox of
// the store: that somebody asks, what was decided, that somebody broke the glass.
// A [Dispatcher] takes from the outbox and hands to channels, which are the
// children webhook, slack and email; [Texts] is the one text for all of them.
//
// What is in the outbox is sent at least once to each channel that wants it, by
// one of the replicas, until it has been sent or the channel was away for too
// long. It deliberately knows nothing of what a call holds: prompts and tensors
// are in no notification, since they are not in the outbox.
package notify

import (
	"context"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// The kinds of items.
const (
	// Kind is the outbox: an [access.Notification] as JSON, in state [Due]. Whoever changes
	// something writes one in the same Apply.
	Kind store.Kind = "notification"
	// KindDelivery is one notification on its way to one channel, which is its
	// owner. Expires is when it is tried next.
	KindDelivery store.Kind = "notification_delivery"
)

// The states of both.
const (
	// Due is what is still to be sent.
	Due = "due"
	// Failed is what could not be sent for too long; it is kept for a while, so
	// that somebody can see why.
	Failed = "failed"
)

// Message is a notification as a channel sends it. Reason, names and models in it
// are what callers wrote: a channel has to keep them from being read as markup.
type Message struct {
	// ID is the same each time that the message is sent to the channel again.
	ID string `json:"id"`
	access.Notification
	// Title is one line, Text some more, Link the page where people decide; empty
	// if the channel knows no page.
	Title string `json:"title"`
	Text  string `json:"text"`
	Link  string `json:"link,omitempty"`
}

// Channel sends messages to where people read them. It is safe for concurrent
// use, and bounded by its context.
type Channel interface {
	// Send sends once. Its error is for the log: nothing secret is in it.
	Send(ctx context.Context, m Message) error
}
