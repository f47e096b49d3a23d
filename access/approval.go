package access

import (
	"context"
	"time"
)

// Need is what a guard asks for before a call may go on: people's approval.
type Need struct {
	// Guard is the guard's name, Definition what it said at the time: a grant ends
	// when that changes.
	Guard      string
	Definition [32]byte
	Terms      Terms
	// Along are models that the call takes with it and that the guard is about: an
	// approval is for these, and for no further ones.
	Along []string
	// Metadata is what the guard's condition names of the call's metadata, nil values
	// where it has none of that key: an approval of the call is for these.
	Metadata map[string][]string
}

// Mode is what a call does while it is not approved yet.
type Mode string

// The modes: the call waits, or it is refused with the request's id.
const (
	Wait Mode = "wait"
	Ask  Mode = "ask"
)

// Scope is what an approval holds for.
type Scope string

// The scopes: this call, whatever is in it, or any call of the verb on the model.
const (
	ScopeCall  Scope = "call"
	ScopeModel Scope = "model"
)

// Terms say who has to approve and what that gives.
type Terms struct {
	// By are groups; each approver is in one of them.
	By []string
	// Count is how many people have to approve.
	Count int
	// Within is how long the request is open, Grant how long the grant lasts.
	Within, Grant time.Duration
	// Reason tells that the requester has to give one; Ticket, if not empty, is an
	// expression (RE2) that the whole of his ticket has to match.
	Reason bool
	Ticket string
	Mode   Mode
	Scope  Scope
	// Uses is how many calls a grant is good for; 0 is any number.
	Uses int
}

type approvedKey struct{}

// WithApproved returns a context for what a message of a stream is carried on: a is
// what let the message through. What its call says is of no one message.
func WithApproved(ctx context.Context, a *Approval) context.Context {
	return context.WithValue(ctx, approvedKey{}, a)
}

// ApprovedFrom returns what let the context's message or call through; nil where
// nobody was asked.
func ApprovedFrom(ctx context.Context) *Approval {
	if a, ok := ctx.Value(approvedKey{}).(*Approval); ok {
		return a
	}
	if call := CallFrom(ctx); call != nil && !call.Stream {
		return call.Approval
	}
	return nil
}
