package approval

import (
	"sync"

	"github.com/sluice-gateway/sluice/access"
)

// waiting is which calls wait on this replica. A call counts from before its
// request is made, so that no principal can make many at once.
type waiting struct {
	each, most int

	mu    sync.Mutex
	all   int
	by    map[holder]int
	slots map[key]*slot
	byID  map[string]*slot
}

// slot is what calls with one key wait for. It is left behind when it wakes
// them; who waits again makes a new one.
type slot struct {
	key     key
	id      string        // of the request, once it is known
	bells   map[bell]bool // true for a call that knows of the request
	woken   bool
	outcome *Request // once woken; nil where the request is gone
}

// bell wakes one call, which may wait for several slots.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

func newWaiting(each, most int) *waiting {
	return &waiting{each: each, most: most, by: make(map[holder]int), slots: make(map[key]*slot), byID: make(map[string]*slot)}
}

// enter takes a place for a call of who, or says why there is none.
func (w *waiting) enter(who *access.Principal) *access.Error {
	h := holder{who.Issuer, who.Subject}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.by[h] >= w.each:
		return tooMany("%d calls of yours wait for approval, which is as many as may; wait for them, or let some go", w.each)
	case w.all >= w.most:
		return tooMany("%d calls wait for approval, which is as many as may; try again later", w.most)
	}
	w.all++
	w.by[h]++
	return nil
}

func (w *waiting) leave(who *access.Principal) {
	h := holder{who.Issuer, who.Subject}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	if w.by[h]--; w.by[h] == 0 {
		delete(w.by, h)
	}
}

// join returns the slot of a key, which rings b; the caller leaves it with part.
func (w *waiting) join(k key, b bell) *slot {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.slots[k]
	if s == nil {
		s = &slot{key: k, bells: make(map[bell]bool)}
		w.slots[k] = s
	}
	s.bells[b] = false
	return s
}

// name tells which request a call of the slot, and so all of them, waits for.
func (w *waiting) name(s *slot, b bell, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.bells[b] = true
	if s.woken || s.id == id {
		return
	}
	if w.byID[s.id] == s {
		delete(w.byID, s.id)
	}
	s.id = id
	w.byID[id] = s
}

func (w *waiting) part(s *slot, b bell) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if delete(s.bells, b); len(s.bells) == 0 && !s.woken {
		w.forget(s)
	}
}

// outcome is what has become of the slot's request, if anything has.
func (w *waiting) outcome(s *slot) (r *Request, woken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.outcome, s.woken
}

func (w *waiting) forget(s *slot) {
	delete(w.slots, s.key)
	if w.byID[s.id] == s {
		delete(w.byID, s.id)
	}
}

// wake tells the calls that wait for k what has become of the request.
func (w *waiting) wake(k key, outcome *Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.slots[k]
	if s == nil || s.id != "" && outcome != nil && s.id != outcome.ID {
		return // they wait for a later one
	}
	s.outcome, s.woken = outcome, true
	w.forget(s)
	for b := range s.bells {
		b.ring()
	}
}

// wakeID wakes the calls that wait for a request which is not there any more.
func (w *waiting) wakeID(id string) {
	w.mu.Lock()
	s := w.byID[id]
	w.mu.Unlock()
	if s != nil {
		w.wake(s.key, nil)
	}
}

// waitsFor tells whether a request could be one that calls here wait for: its
// id is known, or some slot does not know its id yet.
func (w *waiting) waitsFor(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byID[id] != nil || len(w.byID) < len(w.slots)
}

// ids are the requests that calls wait for.
func (w *waiting) ids() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make(map[string]bool, len(w.byID))
	for id := range w.byID {
		ids[id] = true
	}
	return ids
}

// calls is how many calls wait for a request.
func (w *waiting) calls(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.byID[id]; s != nil {
		n := 0
		for _, knows := range s.bells {
			if knows {
				n++
			}
		}
		return n
	}
	return 0
}
