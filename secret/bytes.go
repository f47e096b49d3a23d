package secret

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// redacted is what a secret shows of itself, whoever asks.
const redacted = "[REDACTED]"

// Bytes is a secret. However it is printed, logged or marshalled it shows
// "[REDACTED]", or an address as a field that fmt reaches by reflection only: it
// lies in a closure, which nothing can follow (a pointer fmt does follow where a
// verb does not fit). The zero Bytes is empty. Copies share one secret; all
// methods are safe for concurrent use.
type Bytes struct{ in func() *hidden }

type hidden struct {
	mu sync.RWMutex
	b  []byte
}

// NewBytes takes b over: nobody else may write to it, and [Bytes.Wipe] will.
func NewBytes(b []byte) Bytes {
	h := &hidden{b: b}
	return Bytes{func() *hidden { return h }}
}

// Open calls f with the secret, which is valid during the call alone and must
// not be written to. It is empty where it was wiped.
func (s Bytes) Open(f func(secret []byte)) {
	if s.in == nil {
		f(nil)
		return
	}
	h := s.in()
	h.mu.RLock()
	defer h.mu.RUnlock()
	f(h.b)
}

// Text is a copy of the secret as a string, which can't be wiped: for what takes
// nothing else.
func (s Bytes) Text() (text string) {
	s.Open(func(b []byte) { text = string(b) })
	return text
}

// Len is the secret's length in bytes; 0 once it was wiped.
func (s Bytes) Len() (n int) {
	s.Open(func(b []byte) { n = len(b) })
	return n
}

// Wipe overwrites the secret with zeros and empties it, for all copies.
func (s Bytes) Wipe() {
	if s.in == nil {
		return
	}
	h := s.in()
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.b[:cap(h.b)])
	h.b = nil
}

// String returns "[REDACTED]".
func (s Bytes) String() string { return redacted }

// Format writes "[REDACTED]" for every verb, %#v and %x included.
func (s Bytes) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is what slog shows.
func (s Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is what JSON and other encoders show.
func (s Bytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML is what YAML encoders show.
func (s Bytes) MarshalYAML() (any, error) { return redacted, nil }

// GobEncode is what encoding/gob writes.
func (s Bytes) GobEncode() ([]byte, error) { return []byte(redacted), nil }
