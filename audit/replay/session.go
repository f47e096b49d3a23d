package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
)

// Source is where records and what was said in them come from: a log and a
// [payload.Reader], or who asks a gateway for both.
type Source interface {
	Search(ctx context.Context, q audit.Query) iter.Seq2[audit.Found, error]
	// Open reads what a record points to; the error says why it can't be had.
	Open(ctx context.Context, ref *audit.PayloadRef) (*payload.Content, error)
}

// Session is what is to be played.
type Session struct {
	ID    string
	Begun time.Time
	// Calls are its calls, and requests of streams, in the order of their beginning.
	Calls []Call
	// Events are all that happened in them, in order.
	Events []Event
	// Damage is what can't be read any more, and may be of this session.
	Damage audit.Damage
}

// Call is a record and what was said in it.
type Call struct {
	Record *audit.Record
	// Content is nil where nothing is kept, and Absent says why.
	Content *payload.Content
	Absent  string
}

// Event is a message that passed, at a time since the session began. Where only the
// record is kept, it has no message.
type Event struct {
	At    time.Duration
	Call  int // which of Calls
	Frame payload.Frame
}

// Limits of a session that is played.
const (
	maxCalls = 10_000
	maxBytes = 512 << 20
)

// ErrNoSession is the error of a session that nothing is recorded of.
var ErrNoSession = errors.New("replay: nothing is recorded of this session")

// Load reads a session.
func Load(ctx context.Context, from Source, id string) (*Session, error) {
	s := &Session{ID: id}
	size := 0
	for found, err := range from.Search(ctx, audit.Query{Session: id, Oldest: true, Limit: maxCalls + 1}) {
		if s.Damage.Take(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if r := found.Record; r.Kind != audit.KindCall && r.Kind != audit.KindMessage || r.Verb == "" || r.OfStream() {
			continue // a stream's own record tells nothing that its requests' do not
		}
		c := Call{Record: found.Record}
		var err error
		switch c.Content, err = from.Open(ctx, found.Record.Payload); {
		case errors.Is(err, audit.ErrNotFound) && found.Record.Payload == nil:
			c.Absent = "nothing of it was to be kept"
		case errors.Is(err, audit.ErrNotFound):
			c.Absent = "it could not be kept"
		case err != nil:
			c.Absent = err.Error()
		}
		if c.Content != nil {
			for _, f := range c.Content.Frames {
				size += len(f.Message)
			}
		}
		s.Calls = append(s.Calls, c)
		if len(s.Calls) > maxCalls || size > maxBytes {
			return nil, fmt.Errorf("replay: the session has more than %d calls or %d MiB; nobody would watch it to the end", maxCalls, maxBytes>>20)
		}
	}
	switch {
	case len(s.Calls) == 0 && s.Damage.Records > 0:
		return nil, fmt.Errorf("replay: nothing of this session can be read, and %d records of the log are damaged: \"sluice audit verify\" names them", s.Damage.Records)
	case len(s.Calls) == 0:
		return nil, ErrNoSession
	}
	slices.SortStableFunc(s.Calls, func(a, b Call) int { return a.Record.Time.Compare(b.Record.Time) })
	s.Begun = s.Calls[0].Record.Time
	for i := range s.Calls {
		s.add(i)
	}
	slices.SortStableFunc(s.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return s, nil
}

// add adds the events of a call: its messages, or what its record says of them.
func (s *Session) add(i int) {
	c := &s.Calls[i]
	begun := c.Record.Time.Sub(s.Begun)
	if c.Content != nil {
		for _, f := range c.Content.Frames {
			s.Events = append(s.Events, Event{begun + f.At, i, f})
		}
		return
	}
	s.Events = append(s.Events, Event{At: begun, Call: i, Frame: payload.Frame{Kind: payload.Request, Size: int(c.Record.BytesIn)}})
	at := begun
	for _, d := range c.Record.Timing {
		at += time.Duration(d) * time.Microsecond
		s.Events = append(s.Events, Event{At: at, Call: i, Frame: payload.Frame{Kind: payload.Stream}})
	}
}

// Length is how long the session took, to its last event.
func (s *Session) Length() time.Duration {
	if len(s.Events) == 0 {
		return 0
	}
	return s.Events[len(s.Events)-1].At
}
