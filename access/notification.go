package access

import "time"

// Notification is what people are told of a request or a grant, as JSON. Package
// approval writes it into the outbox of the store together with the change, so that
// there is none without the other; package notify sends it at least once. It holds
// nothing of a call's content.
type Notification struct {
	Event Event `json:"event"`
	// Request and Grant are ids; one may be empty.
	Request string `json:"request,omitempty"`
	Grant   string `json:"grant,omitempty"`
	// Requester asked, as issuer#subject; Actor approved, denied or revoked.
	Requester     string `json:"requester"`
	RequesterName string `json:"requester_name,omitempty"`
	Actor         string `json:"actor,omitempty"`
	ActorName     string `json:"actor_name,omitempty"`
	Verb          string `json:"verb"`
	Model         string `json:"model,omitempty"`
	Reason        string `json:"reason,omitempty"`
	Ticket        string `json:"ticket,omitempty"`
	Guard         string `json:"guard,omitempty"`
	// By are the groups that may approve.
	By []string `json:"by,omitempty"`
	// At is when it happened, Expires when the request or the grant ends.
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires,omitzero"`
}

// Event is what a notification is about.
type Event string

// The events.
const (
	EventRequested  Event = "requested"
	EventApproved   Event = "approved"
	EventDenied     Event = "denied"
	EventExpired    Event = "expired"
	EventBreakGlass Event = "break_glass"
	EventRevoked    Event = "revoked"
)

// Events are all of them.
var Events = []Event{EventRequested, EventApproved, EventDenied, EventExpired, EventBreakGlass, EventRevoked}
