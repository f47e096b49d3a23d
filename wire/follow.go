package wire

// Follower is what a step of the chain attaches to a request of a stream in
// order to see its answers: whoever relays the stream attaches it to each of
// them, and ends it with [End]. An answer that can't be attributed to a request
// is an error on a stream that has followers.
type Follower interface {
	// Decoupled tells whether the request may be answered any number of times.
	// It is the relay's word for it too: two readings of a model's
	// configuration could differ.
	Decoupled() bool
}

// End is sent down a stream in an answer's place where a followed request ends
// without another answer. The step whose follower it is sends what it has held
// back, and no one sends it any further.
type End struct{ Follower Follower }

// Follow attaches f to m until m is freed or reset; [Message.Take] moves it.
func (m *Message) Follow(f Follower) { m.follower = f }

// Follower is what is attached to m, or nil.
func (m *Message) Follower() Follower { return m.follower }
