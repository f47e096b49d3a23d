package store

import (
	"context"
	"slices"
	"sync"
	"time"
)

// gathered is how many hints a watch keeps for a reader that is slow, before
// they become one hint without ID for each kind.
const gathered = 64

// Hub is the half of [Store.Watch] that all stores have in common: it hands
// hints to watches. The zero value is ready; all methods are safe for
// concurrent use. It blocks nobody who tells it something.
type Hub struct {
	mu      sync.Mutex
	closed  bool
	done    chan struct{}
	watches map[*watch]struct{}
	running sync.WaitGroup
}

// Watch is [Store.Watch]. The channel of a hub that is closed is closed.
func (h *Hub) Watch(ctx context.Context, kinds ...Kind) <-chan Hint {
	out := make(chan Hint)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(out)
		return out
	}
	if h.watches == nil {
		h.watches, h.done = make(map[*watch]struct{}), make(chan struct{})
	}
	w := &watch{kinds: slices.Clone(kinds), wake: make(chan struct{}, 1)}
	w.tellAll()
	h.watches[w] = struct{}{}
	h.running.Go(func() {
		defer close(out)
		w.run(ctx, h.done, out)
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watches, w)
	})
	return out
}

// Tell says what has changed.
func (h *Hub) Tell(hints ...Hint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watches {
		w.tell(hints)
	}
}

// TellAll says that anything may have changed.
func (h *Hub) TellAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watches {
		w.tellAll()
	}
}

// Watched tells whether anybody listens.
func (h *Hub) Watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.watches) > 0
}

// Close ends all watches, and returns when they have ended.
func (h *Hub) Close() {
	h.mu.Lock()
	if !h.closed && h.done != nil {
		close(h.done)
	}
	h.closed = true
	h.mu.Unlock()
	h.running.Wait()
}

// watch is one reader's.
type watch struct {
	kinds []Kind
	wake  chan struct{} // holds one while pending has something new

	mu      sync.Mutex
	pending []Hint // at most gathered; a hint without ID stands for all of its kind
}

func (w *watch) run(ctx context.Context, done <-chan struct{}, out chan<- Hint) {
	poll := time.NewTicker(Poll)
	defer poll.Stop()
	var next Hint
	var to chan<- Hint
	for {
		if to == nil {
			// Out of pending before it is offered: a change that comes while the
			// reader takes this hint is a hint of its own.
			if hint, ok := w.pop(); ok {
				next, to = hint, out
			}
		}
		select {
		case to <- next:
			to = nil
		case <-w.wake:
		case <-poll.C:
			w.tellAll()
		case <-ctx.Done():
			return
		case <-done:
			return
		}
	}
}

func (w *watch) pop() (Hint, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 {
		return Hint{}, false
	}
	hint := w.pending[0]
	w.pending = slices.Delete(w.pending, 0, 1)
	return hint, true
}

func (w *watch) tell(hints []Hint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, hint := range hints {
		if slices.Contains(w.kinds, hint.Kind) {
			w.add(hint)
		}
	}
	w.rouse()
}

func (w *watch) tellAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addAll()
	w.rouse()
}

func (w *watch) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watch) addAll() {
	w.pending = w.pending[:0]
	for _, kind := range w.kinds {
		w.add(Hint{Kind: kind})
	}
}

func (w *watch) add(hint Hint) {
	if hint.ID == "" {
		w.pending = slices.DeleteFunc(w.pending, func(p Hint) bool { return p.Kind == hint.Kind })
	} else if slices.Contains(w.pending, hint) || slices.Contains(w.pending, Hint{Kind: hint.Kind}) {
		return
	}
	if len(w.pending) >= gathered+len(w.kinds) {
		w.addAll()
		return
	}
	w.pending = append(w.pending, hint)
}
