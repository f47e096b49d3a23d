package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pending takes all hints that are there, without waiting for a poll.
func pending(hints <-chan store.Hint) []store.Hint {
	var all []store.Hint
	for {
		synctest.Wait()
		select {
		case hint, ok := <-hints:
			if !ok {
				return all
			}
			all = append(all, hint)
		default:
			return all
		}
	}
}

func hint(kind store.Kind, id string) store.Hint { return store.Hint{Kind: kind, ID: id} }

func TestHub(t *testing.T) {
	tests := map[string]struct {
		kinds []store.Kind
		tell  func(h *store.Hub)
		want  []store.Hint
	}{
		"each kind at first":              {[]store.Kind{"a", "b"}, nil, []store.Hint{hint("a", ""), hint("b", "")}},
		"nothing for no kinds":            {nil, func(h *store.Hub) { h.Tell(hint("a", "1")); h.TellAll() }, nil},
		"other kinds are not told":        {[]store.Kind{"a"}, func(h *store.Hub) { h.Tell(hint("b", "1")) }, []store.Hint{hint("a", "")}},
		"what covers all swallows ids":    {[]store.Kind{"a", "b"}, func(h *store.Hub) { h.Tell(hint("b", "1")) }, []store.Hint{hint("a", ""), hint("b", "")}},
		"what is being taken covers none": {[]store.Kind{"a"}, func(h *store.Hub) { h.Tell(hint("a", "1"), hint("a", "1")) }, []store.Hint{hint("a", ""), hint("a", "1")}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h store.Hub
				defer h.Close()
				hints := h.Watch(t.Context(), tt.kinds...)
				synctest.Wait() // the first hint is being offered now
				if tt.tell != nil {
					tt.tell(&h)
				}
				got := pending(hints)
				sortHints(got)
				want := slices.Clone(tt.want)
				sortHints(want)
				if !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		})
	}
}

func sortHints(all []store.Hint) {
	slices.SortFunc(all, func(a, b store.Hint) int {
		return slices.Compare([]string{string(a.Kind), a.ID}, []string{string(b.Kind), b.ID})
	})
}

// A change that comes while the reader takes the hint of the one before is a
// hint of its own: the reader may have read the item already.
func TestHubTellsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h store.Hub
		defer h.Close()
		hints := h.Watch(t.Context(), "a")
		pending(hints)
		h.Tell(hint("a", "1"))
		synctest.Wait() // offered
		h.Tell(hint("a", "1"))
		if got := pending(hints); len(got) != 2 {
			t.Errorf("got %v, want the hint twice", got)
		}
	})
}

// A thousand changes that nobody takes are kept in little memory, and covered.
func TestHubFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h store.Hub
		defer h.Close()
		hints := h.Watch(t.Context(), "a", "b")
		pending(hints)
		for i := range 1000 {
			h.Tell(hint("a", fmt.Sprint(i)))
		}
		got := pending(hints)
		if len(got) > 100 || !slices.Contains(got, hint("a", "")) {
			t.Errorf("%d hints: %v", len(got), got)
		}
	})
}

func TestHubPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h store.Hub
		defer h.Close()
		hints := h.Watch(t.Context(), "a")
		pending(hints)
		start := time.Now()
		for i := range 3 {
			if got := <-hints; got != hint("a", "") || time.Since(start) != time.Duration(i+1)*store.Poll {
				t.Errorf("got %+v after %v", got, time.Since(start))
			}
		}
	})
}

func TestHubEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h store.Hub
		ctx, cancel := context.WithCancel(t.Context())
		one, other := h.Watch(ctx, "a"), h.Watch(t.Context(), "a")
		pending(one)
		cancel()
		if _, ok := <-one; ok || !h.Watched() {
			t.Error("the end of a context does not end its watch alone")
		}
		h.Close()
		h.Close()
		pending(other)
		if _, ok := <-h.Watch(t.Context(), "a"); ok || h.Watched() {
			t.Error("a closed hub has a watch")
		}
		h.Tell(hint("a", "1"))
		h.TellAll()
	})
}

func TestNewID(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	seen := make(map[string]bool)
	before := store.NewID(at.Add(-time.Millisecond))
	after := store.NewID(at.Add(time.Millisecond))
	for range 1000 {
		id := store.NewID(at)
		if len(id) != 26 || seen[id] || id <= before || id >= after {
			t.Fatalf("%q between %q and %q", id, before, after)
		}
		seen[id] = true
	}
	if id := store.NewID(time.Unix(-1, 0)); id[:10] != "0000000000" {
		t.Errorf("before 1970: %q", id)
	}
}
