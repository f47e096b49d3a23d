package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/store"
)

var listing = []suiteCase{
	{"items are listed by id, byte by byte", listOrder},
	{"pages go on where the last one ended", listPages},
	{"filters narrow a list down", listFilters},
	{"what ends before a time is found, what never ends is not", listExpired},
}

var limits = []suiteCase{
	{"what no store takes is refused before anything is written", refusals},
	{"a query that can't be meant is refused", badQueries},
}

var many = []suiteCase{
	{"many that count up at once lose nothing", countUp},
	{"of many that make one new item, one does", oneMaker},
	{"many that swap the same items in any order all get an answer", crossing},
}

func ids(items []store.Item) []string {
	var all []string
	for _, item := range items {
		all = append(all, item.ID)
	}
	return all
}

func list(t *testing.T, s store.Store, q store.Query) []store.Item {
	t.Helper()
	items, err := s.List(bounded(t), q)
	if err != nil {
		t.Fatalf("list %+v: %v", q, err)
	}
	return items
}

func wantIDs(t *testing.T, s store.Store, q store.Query, want ...string) {
	t.Helper()
	if got := ids(list(t, s, q)); !slices.Equal(got, want) {
		t.Errorf("%+v: got %q, want %q", q, got, want)
	}
}

func listOrder(t *testing.T, open Database) {
	s := open(t)
	names := []string{"b", "a", "B", "a-", "é", "z", "aa", "_", "0", "Z", "a b", "\U0001F600", "\uFFFD"}
	for _, id := range names {
		apply(t, s, put("thing", id, 0))
	}
	apply(t, s, put("thingy", "c", 0))
	slices.Sort(names)
	wantIDs(t, s, store.Query{Kind: "thing"}, names...)
	wantIDs(t, s, store.Query{Kind: "none"})
	for _, item := range list(t, s, store.Query{Kind: "thing"}) {
		if !equal(item, get(t, s, "thing", item.ID)) {
			t.Errorf("the list has %+v", item)
		}
	}
}

func listPages(t *testing.T, open Database) {
	s := open(t)
	var changes []store.Change
	for i := range store.MaxPage {
		changes = append(changes, put("thing", fmt.Sprintf("%05d", i), 0))
	}
	apply(t, s, changes...)
	apply(t, s, put("thing", "99999", 0))
	for _, limit := range []int{0, store.MaxPage, store.MaxPage + 1, 1 << 40} {
		if got := len(list(t, s, store.Query{Kind: "thing", Limit: limit})); got != store.MaxPage {
			t.Errorf("limit %d: %d items", limit, got)
		}
	}
	var all []string
	for q := (store.Query{Kind: "thing", Limit: 300}); ; q.After = all[len(all)-1] {
		page := ids(list(t, s, q))
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
	}
	if len(all) != store.MaxPage+1 || !slices.IsSorted(all) {
		t.Errorf("pages of 300 have %d items, sorted: %v", len(all), slices.IsSorted(all))
	}
	wantIDs(t, s, store.Query{Kind: "thing", After: "00997x"}, "00998", "00999", "99999")
	wantIDs(t, s, store.Query{Kind: "thing", After: "99999"})
}

func listFilters(t *testing.T, open Database) {
	s := open(t)
	for i, of := range [][2]string{{"alice", "open"}, {"alice", "done"}, {"bob", "open"}, {"", ""}, {"Alice", "open"}, {"alic_", "ope%"}} {
		c := put("thing", strconv.Itoa(i), 0)
		c.Owner, c.State = of[0], of[1]
		apply(t, s, c)
	}
	wantIDs(t, s, store.Query{Kind: "thing", Owner: "alice"}, "0", "1")
	wantIDs(t, s, store.Query{Kind: "thing", State: "open"}, "0", "2", "4")
	wantIDs(t, s, store.Query{Kind: "thing", Owner: "alice", State: "open"}, "0")
	wantIDs(t, s, store.Query{Kind: "thing", Owner: "alic_"}, "5")
	wantIDs(t, s, store.Query{Kind: "thing", State: "open", After: "0", Limit: 1}, "2")
	wantIDs(t, s, store.Query{Kind: "thing", Owner: "carol"})
	c := put("thing", "0", 1)
	c.Owner, c.State = "bob", "done"
	apply(t, s, c)
	wantIDs(t, s, store.Query{Kind: "thing", Owner: "alice"}, "1")
	wantIDs(t, s, store.Query{Kind: "thing", Owner: "bob"}, "0", "2")
}

func listExpired(t *testing.T, open Database) {
	s := open(t)
	now := time.Date(2030, 1, 1, 0, 0, 0, int(500*time.Millisecond), time.UTC)
	for id, at := range map[string]time.Time{"before": now.Add(-time.Millisecond), "now": now, "after": now.Add(time.Millisecond), "never": {}, "long ago": time.Unix(-5, 0)} {
		c := put("thing", id, 0)
		c.Expires, c.State = at, "open"
		apply(t, s, c)
	}
	wantIDs(t, s, store.Query{Kind: "thing", ExpiresBefore: now}, "before", "long ago")
	wantIDs(t, s, store.Query{Kind: "thing", ExpiresBefore: now.Add(time.Millisecond)}, "before", "long ago", "now")
	wantIDs(t, s, store.Query{Kind: "thing", ExpiresBefore: now, State: "open", After: "before"}, "long ago")
	wantIDs(t, s, store.Query{Kind: "thing"}, "after", "before", "long ago", "never", "now")
	get(t, s, "thing", "long ago") // an item that has expired stays
}

func refusals(t *testing.T, open Database) {
	s := open(t)
	apply(t, s, put("thing", "there", 0))
	long := strings.Repeat("x", store.MaxText+1)
	with := func(change func(*store.Change)) store.Change {
		c := put("thing", "bad", 0)
		change(&c)
		return c
	}
	for says, bad := range map[string]store.Change{
		"has no id":              with(func(c *store.Change) { c.ID = "" }),
		"id has 1025 bytes":      with(func(c *store.Change) { c.ID = long }),
		"owner has 1025 bytes":   with(func(c *store.Change) { c.Owner = long }),
		"state has 1025 bytes":   with(func(c *store.Change) { c.State = long }),
		"id holds a byte 0":      with(func(c *store.Change) { c.ID = "a\x00" }),
		"owner holds a byte 0":   with(func(c *store.Change) { c.Owner = "\x00" }),
		"state holds a byte 0":   with(func(c *store.Change) { c.State = "a\x00b" }),
		"owner is not UTF-8":     with(func(c *store.Change) { c.Owner = "\xc3\x28" }),
		"the body has":           with(func(c *store.Change) { c.Body = make([]byte, store.MaxBody+1) }),
		`kind "":`:               with(func(c *store.Change) { c.Kind = "" }),
		`kind "a b"`:             with(func(c *store.Change) { c.Kind = "a b" }),
		`kind "Thing"`:           with(func(c *store.Change) { c.Kind = "Thing" }),
		"revision -1":            with(func(c *store.Change) { c.Revision = -1 }),
		"can't be deleted":       with(func(c *store.Change) { c.Delete = true }),
		"is changed twice":       put("thing", "new", 0),
		"more than 1000":         put("thing", "x", 0),
		`"there" is changed twi`: put("thing", "there", 1),
	} {
		all := []store.Change{put("thing", "new", 0), put("thing", "there", 1), bad}
		for says == "more than 1000" && len(all) <= store.MaxChanges {
			all = append(all, put("thing", strconv.Itoa(len(all)), 0))
		}
		err := s.Apply(bounded(t), all...)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want one that says %q", err, says)
		}
		for _, other := range []error{store.ErrAway, store.ErrConflict, store.ErrNotFound} {
			if errors.Is(err, other) {
				t.Errorf("%v is %v, and it is the caller's mistake", err, other)
			}
		}
	}
	wantIDs(t, s, store.Query{Kind: "thing"}, "there")
	if got := get(t, s, "thing", "there"); got.Revision != 1 {
		t.Errorf("revision %d, want 1", got.Revision)
	}
}

func badQueries(t *testing.T, open Database) {
	s := open(t)
	for name, q := range map[string]store.Query{
		"no kind":           {},
		"a kind with space": {Kind: "a b"},
		"a limit below 0":   {Kind: "thing", Limit: -1},
		"a byte 0":          {Kind: "thing", Owner: "\x00"},
		"no UTF-8":          {Kind: "thing", After: "\xff"},
	} {
		if _, err := s.List(bounded(t), q); err == nil || errors.Is(err, store.ErrAway) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := s.Get(bounded(t), "thing", "\x00"); err == nil || errors.Is(err, store.ErrAway) {
		t.Errorf("an id with a byte 0: error %v", err)
	}
}

func countUp(t *testing.T, open Database) {
	const workers, each = 8, 25
	stores := []store.Store{open(t), open(t)}
	apply(t, stores[0], store.Change{Item: store.Item{Kind: "thing", ID: "n", Body: []byte("0")}})
	ctx := bounded(t)
	var all sync.WaitGroup
	for w := range workers {
		s := stores[w%len(stores)]
		all.Go(func() {
			for done := 0; done < each; {
				item, err := s.Get(ctx, "thing", "n")
				if err != nil {
					t.Errorf("get: %v", err)
					return
				}
				n, _ := strconv.Atoi(string(item.Body))
				item.Body = []byte(strconv.Itoa(n + 1))
				err = s.Apply(ctx, store.Change{Item: item})
				if err == nil {
					done++
				} else if !errors.Is(err, store.ErrConflict) {
					t.Errorf("apply: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	if got := get(t, stores[1], "thing", "n"); string(got.Body) != strconv.Itoa(workers*each) || got.Revision != workers*each+1 {
		t.Errorf("counted to %s in revision %d, want %d", got.Body, got.Revision, workers*each)
	}
}

func oneMaker(t *testing.T, open Database) {
	stores := []store.Store{open(t), open(t)}
	ctx := bounded(t)
	for round := range 5 {
		id := strconv.Itoa(round)
		var mu sync.Mutex
		var all sync.WaitGroup
		made := 0
		for w := range 8 {
			all.Go(func() {
				err := stores[w%2].Apply(ctx, put("thing", id, 0), put("witness", fmt.Sprintf("%s-%d", id, w), 0))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made++
				} else if !errors.Is(err, store.ErrConflict) {
					t.Errorf("apply: %v", err)
				}
			})
		}
		all.Wait()
		if made != 1 {
			t.Errorf("%d made one new item", made)
		}
	}
	if got := len(list(t, stores[0], store.Query{Kind: "witness"})); got != 5 {
		t.Errorf("%d witnesses of 5 makings", got)
	}
}

// crossing would be a deadlock where items are locked in the order of changes.
func crossing(t *testing.T, open Database) {
	stores := []store.Store{open(t), open(t)}
	apply(t, stores[0], put("thing", "a", 0), put("thing", "b", 0))
	ctx := bounded(t)
	var all sync.WaitGroup
	for w := range 8 {
		s := stores[w%2]
		all.Go(func() {
			for range 10 {
				a, errA := s.Get(ctx, "thing", "a")
				b, errB := s.Get(ctx, "thing", "b")
				if errA != nil || errB != nil {
					t.Error(errA, errB)
					return
				}
				changes := []store.Change{{Item: a}, {Item: b}}
				if w/2%2 == 0 {
					slices.Reverse(changes)
				}
				if err := s.Apply(ctx, changes...); err != nil && !errors.Is(err, store.ErrConflict) {
					t.Errorf("apply: %v", err)
				}
			}
		})
	}
	all.Wait()
	if a, b := get(t, stores[0], "thing", "a"), get(t, stores[0], "thing", "b"); a.Revision != b.Revision || a.Revision < 2 {
		t.Errorf("revisions %d and %d: one item changed without the other, or none", a.Revision, b.Revision)
	}
}
