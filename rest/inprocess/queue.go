package inprocess

import (
	"context"
	"sync"

	"github.com/sluice-gateway/sluice/wire"
)

// ahead is how many bytes of answers may wait for the client, beside the one that
// is next: as gRPC's flow control lets a server run ahead of its reader, so that
// neither has to be woken for each answer.
const ahead = 64 << 10

// queue carries answers from the handler to the client, in order. One goroutine
// puts and one takes.
type queue struct {
	mu      sync.Mutex
	items   []*wire.Message
	first   int // of the items that have not been taken
	bytes   int
	arrived chan struct{} // holds a token when something has come
	left    chan struct{} // holds a token when something has gone
}

func newQueue() *queue {
	return &queue{arrived: make(chan struct{}, 1), left: make(chan struct{}, 1)}
}

// put adds m, which is the queue's then, and waits for room for it first.
func (q *queue) put(ctx context.Context, m *wire.Message) error {
	for {
		q.mu.Lock()
		if q.first == len(q.items) || q.bytes+m.Len() <= ahead {
			q.items = append(q.items, m)
			q.bytes += m.Len()
			q.mu.Unlock()
			signal(q.arrived)
			return nil
		}
		q.mu.Unlock()
		select {
		case <-q.left:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take removes the first answer; nil if there is none now.
func (q *queue) take() *wire.Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.first == len(q.items) {
		return nil
	}
	m := q.items[q.first]
	q.items[q.first] = nil
	q.bytes -= m.Len()
	if q.first++; q.first == len(q.items) {
		q.items, q.first = q.items[:0], 0
	}
	signal(q.left)
	return m
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
