package generate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// maxEvent bounds the data of one event, in bytes: a token with the log
	// probabilities of twenty others, for many sequences, is far below it.
	maxEvent = 1 << 20
	// maxIdle bounds what may come between two events, in bytes: comments that
	// keep the connection alive are a few bytes each.
	maxIdle = 1 << 20
	// eventBuffer is what a connection is read by.
	eventBuffer = 4 << 10
)

// Done is the data of the event that ends a stream in OpenAI's dialect.
const Done = "[DONE]"

// Errors of a stream that is not what it should be.
var (
	ErrEventTooLong = errors.New("an event is too long")
	ErrNotEvents    = errors.New("the answer is not a stream of events")
	ErrCutOff       = errors.New("the stream ended within an event")
)

// Events reads server-sent events (the HTML standard, section 9.2), strictly: a
// line that is no field of an event is an error, and so is an event that the
// end cuts off, for it may be half an answer. "data:" with and without a blank, comments,
// all three kinds of line ends and data of many lines are understood.
type Events struct {
	r     *bufio.Reader
	data  []byte
	line  []byte // where a line straddles the buffer
	skipc bool   // the last line ended in CR; a LF belongs to it
	idle  int
}

// NewEvents reads events from r.
func NewEvents(r io.Reader) *Events {
	return &Events{r: bufio.NewReaderSize(r, eventBuffer)}
}

// Next returns the data of the next event, valid until the next call. The error
// is io.EOF after the last whole event, one of this package's, or the reader's.
func (e *Events) Next() ([]byte, error) {
	e.data, e.idle = e.data[:0], 0
	filled := false
	for {
		line, err := e.readLine()
		switch {
		case errors.Is(err, io.EOF) && (filled || len(line) > 0):
			return nil, ErrCutOff
		case err != nil:
			return nil, err
		case len(line) == 0 && filled:
			return e.data[:len(e.data)-1], nil
		}
		added, err := e.field(line)
		if err != nil {
			return nil, err
		}
		filled = filled || added
	}
}

// field takes one line in, and tells whether it was data.
func (e *Events) field(line []byte) (data bool, err error) {
	name, value, colon := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch {
	case colon && string(name) == "data", string(line) == "data":
		if len(e.data)+len(value) >= maxEvent {
			return false, fmt.Errorf("%w: over %d bytes", ErrEventTooLong, maxEvent)
		}
		e.data = append(append(e.data, value...), '\n')
		return true, nil
	case len(line) == 0, len(name) == 0, string(name) == "event", string(name) == "id", string(name) == "retry":
		if e.idle += len(line) + 1; e.idle > maxIdle {
			return false, fmt.Errorf("%w: %d bytes without data", ErrNotEvents, e.idle)
		}
		return false, nil
	}
	return false, ErrNotEvents
}

// readLine returns the next line without its end. With an error it returns what
// there is of one.
func (e *Events) readLine() ([]byte, error) {
	e.line = e.line[:0]
	for {
		// What is buffered is looked at first: to ask for more would wait for
		// the next token.
		if e.r.Buffered() == 0 {
			if _, err := e.r.Peek(1); err != nil {
				return e.line, err
			}
		}
		chunk, _ := e.r.Peek(e.r.Buffered())
		if e.skipc {
			e.skipc = false
			if chunk[0] == '\n' {
				_, _ = e.r.Discard(1)
				continue
			}
		}
		i := lineEnd(chunk)
		if i < 0 {
			if len(e.line)+len(chunk) > maxEvent {
				return nil, fmt.Errorf("%w: a line is over %d bytes", ErrEventTooLong, maxEvent)
			}
			e.line = append(e.line, chunk...)
			_, _ = e.r.Discard(len(chunk))
			continue
		}
		e.skipc = chunk[i] == '\r'
		line := chunk[:i]
		if len(e.line) > 0 {
			e.line = append(e.line, line...)
			line = e.line
		}
		// The bytes stay where they are until the next read.
		_, _ = e.r.Discard(i + 1)
		return line, nil
	}
}

// lineEnd is where the first CR or LF is, or -1.
func lineEnd(b []byte) int {
	i := bytes.IndexByte(b, '\n')
	if i >= 0 {
		b = b[:i]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		return cr
	}
	return i
}
