package backendstest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long the suite waits for what has to happen. Nothing that
// works waits for it to run out.
var patience = time.Minute

// Seen is a call that reached a double.
type Seen struct {
	What  Ability
	Model string // as the server reads the message; "" where the double did not look
	// Metadata is what came with the call, names in lower case.
	Metadata map[string][]string
	// Ended tells that the server's side of the call is over: answered, or its
	// caller gone.
	Ended bool
}

// Observer is told by a double what reaches it, so that the suite can wait for
// that. It is safe for concurrent use.
type Observer struct {
	mu      sync.Mutex
	calls   []*Seen
	changed chan struct{} // closed and made anew with each change
}

// NewObserver returns an observer that has seen nothing.
func NewObserver() *Observer { return &Observer{changed: make(chan struct{})} }

// Begin notes a call when it has come. ctx is the server's context of it, which
// ends with the call: that of a gRPC stream or of an HTTP request.
func (o *Observer) Begin(ctx context.Context, what Ability, model string, metadata map[string][]string) {
	lower := make(map[string][]string, len(metadata))
	for name, values := range metadata {
		lower[strings.ToLower(name)] = slices.Clone(values)
	}
	s := &Seen{What: what, Model: model, Metadata: lower}
	o.change(func() { o.calls = append(o.calls, s) })
	context.AfterFunc(ctx, func() { o.change(func() { s.Ended = true }) })
}

// Observe is a [Step] that tells o of a call; the model is read by name, which
// gets the messages so far and may be nil.
func Observe(o *Observer, what Ability, name func(messages [][]byte) string) Step {
	return func(c *Call) error {
		model := ""
		if name != nil {
			model = name(c.Messages())
		}
		o.Begin(c.Context(), what, model, c.Metadata)
		return nil
	}
}

func (o *Observer) change(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
	close(o.changed)
	o.changed = make(chan struct{})
}

// Calls are the calls seen so far.
func (o *Observer) Calls() []Seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]Seen, len(o.calls))
	for i, s := range o.calls {
		all[i] = *s
		all[i].Metadata = maps.Clone(s.Metadata)
	}
	return all
}

// await waits until the calls seen are as want says.
func (o *Observer) await(t *testing.T, what string, want func([]Seen) bool) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		o.mu.Lock()
		changed := o.changed
		o.mu.Unlock()
		if want(o.Calls()) {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			t.Fatalf("waited in vain for: %s; the server saw %+v", what, o.Calls())
		}
	}
}

// arrived tells whether a call has come.
func arrived(calls []Seen) bool { return len(calls) > 0 }

// allEnded tells whether calls have come and are all over.
func allEnded(calls []Seen) bool {
	return arrived(calls) && !slices.ContainsFunc(calls, func(s Seen) bool { return !s.Ended })
}
