package main

import (
	"io"
	"sync"
	"time"
)

const (
	// linesDelay is how long a line of the log may wait for others. A write of its own
	// for each was a tenth of the CPU of small calls.
	linesDelay = 10 * time.Millisecond
	// maxLines is how many bytes may wait; then who writes waits for what is behind w,
	// as he would without lines.
	maxLines = 256 << 10
)

// lines writes to w what was written to it within linesDelay, in one piece and in
// order. What w does not take is lost, as it is to a log. It is safe for concurrent use.
type lines struct {
	w io.Writer

	mu      sync.Mutex
	waiting []byte

	writing sync.Mutex // taken before mu, so that what was first is written first
	spare   []byte     // writing's
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	first := len(l.waiting) == 0
	l.waiting = append(l.waiting, p...)
	full := len(l.waiting) >= maxLines
	l.mu.Unlock()
	switch {
	case full:
		l.flush()
	case first:
		time.AfterFunc(linesDelay, l.flush)
	}
	return len(p), nil
}

// flush writes what waits.
func (l *lines) flush() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	out := l.waiting
	l.waiting = l.spare[:0]
	l.mu.Unlock()
	if len(out) > 0 {
		_, _ = l.w.Write(out)
	}
	l.spare = out
}
