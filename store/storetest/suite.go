package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/store"
)

// Database opens another store on one database, and closes it when the test
// ends, if it is not closed by then.
type Database func(t *testing.T) store.Store

// patience bounds the waits of the suite, all of which end sooner.
const patience = time.Minute

// Run holds a store to the contract: each sentence of package store is a case.
// fresh makes an empty database for each of them.
func Run(t *testing.T, fresh func(t *testing.T) Database) {
	for _, group := range [][]suiteCase{keeping, listing, limits, watching, many} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, fresh(t))
			})
		}
	}
}

// suiteCase is one rule of the contract.
type suiteCase struct {
	name string
	run  func(t *testing.T, open Database)
}

var keeping = []suiteCase{
	{"an item comes back as it was put", comesBack},
	{"what is not there is not found", notFound},
	{"a change is made from the revision that is there", compareAndSwap},
	{"all changes are made or none", allOrNothing},
	{"two that make the same new item conflict", newTwice},
	{"a deleted item is gone and can be made anew", deletes},
	{"kinds do not share ids", kindsApart},
	{"another store on the database sees all of it", seenByAnother},
	{"a call whose context has ended changes nothing and says away", ended},
	{"a closed store is away", closedIsAway},
	{"a store that works answers a ping", pings},
}

// Call bounds a test's call on a store; it is a test's context.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func apply(t *testing.T, s store.Store, changes ...store.Change) {
	t.Helper()
	if err := s.Apply(bounded(t), changes...); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

func get(t *testing.T, s store.Store, kind store.Kind, id string) store.Item {
	t.Helper()
	item, err := s.Get(bounded(t), kind, id)
	if err != nil {
		t.Fatalf("get %s %q: %v", kind, id, err)
	}
	return item
}

func put(kind store.Kind, id string, revision int64) store.Change {
	return store.Change{Item: store.Item{Kind: kind, ID: id, Revision: revision, Body: []byte("body of " + id)}}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func equal(a, b store.Item) bool {
	return a.Kind == b.Kind && a.ID == b.ID && a.Revision == b.Revision && a.Owner == b.Owner && a.State == b.State &&
		a.Expires.Equal(b.Expires) && string(a.Body) == string(b.Body)
}

func comesBack(t *testing.T, open Database) {
	s := open(t)
	end := time.Date(2031, 2, 3, 4, 5, 6, 789_999_999, time.FixedZone("far", 5*3600))
	for name, item := range map[string]store.Item{
		"everything":     {ID: "a", Owner: "https://issuer#alice", State: "open", Expires: end, Body: []byte(`{"x":1}`)},
		"nothing but id": {ID: "b"},
		"other bytes":    {ID: "ключ/ %'\"\\\n☃", Owner: "' OR 1=1 --", State: "%_", Body: []byte{0, 255, 0xc3, 0x28}},
		"before 1970":    {ID: "c", Expires: time.Date(1901, 1, 1, 0, 0, 0, 0, time.UTC)},
		"the largest":    {ID: strings.Repeat("i", store.MaxText), Owner: strings.Repeat("o", store.MaxText), State: strings.Repeat("s", store.MaxText), Body: make([]byte, store.MaxBody)},
	} {
		item.Kind = "thing"
		apply(t, s, store.Change{Item: item})
		got := get(t, s, "thing", item.ID)
		item.Revision, item.Expires = 1, store.Millis(item.Expires)
		if !equal(got, item) {
			t.Errorf("%s: got %.200v", name, got)
		}
		if !got.Expires.IsZero() && got.Expires.Location() != time.UTC {
			t.Errorf("%s: expires in %v, want UTC", name, got.Expires.Location())
		}
	}
	body := []byte("mine")
	apply(t, s, store.Change{Item: store.Item{Kind: "thing", ID: "mine", Body: body}})
	body[0] = 'X'
	if got := get(t, s, "thing", "mine"); string(got.Body) != "mine" {
		t.Errorf("the store keeps the caller's own bytes: %s", got.Body)
	}
}

func notFound(t *testing.T, open Database) {
	s := open(t)
	apply(t, s, put("thing", "a", 0))
	for _, key := range [][2]string{{"thing", "b"}, {"thing", "A"}, {"thing", ""}, {"other", "a"}} {
		_, err := s.Get(bounded(t), store.Kind(key[0]), key[1])
		wantErr(t, strings.Join(key[:], " "), err, store.ErrNotFound)
	}
}

func compareAndSwap(t *testing.T, open Database) {
	s := open(t)
	apply(t, s, put("thing", "a", 0))
	for revision := int64(1); revision < 4; revision++ {
		c := put("thing", "a", revision)
		c.State = "again"
		apply(t, s, c)
		if got := get(t, s, "thing", "a"); got.Revision != revision+1 || got.State != "again" {
			t.Fatalf("after a change from %d: %+v", revision, got)
		}
	}
	for _, revision := range []int64{0, 1, 3, 5, 1 << 62} {
		wantErr(t, "a change from another revision", s.Apply(bounded(t), put("thing", "a", revision)), store.ErrConflict)
	}
	wantErr(t, "a change of what is not there", s.Apply(bounded(t), put("thing", "b", 1)), store.ErrConflict)
	wantErr(t, "a deletion from another revision", s.Apply(bounded(t), store.Change{Item: store.Item{Kind: "thing", ID: "a", Revision: 3}, Delete: true}), store.ErrConflict)
	if got := get(t, s, "thing", "a"); got.Revision != 4 {
		t.Errorf("revision %d after conflicts, want 4", got.Revision)
	}
}

func allOrNothing(t *testing.T, open Database) {
	s := open(t)
	apply(t, s, put("thing", "old", 0), put("thing", "gone", 0))
	for name, bad := range map[string]store.Change{
		"a new item that is there": put("thing", "old", 0),
		"a change of nothing":      put("thing", "none", 1),
		"a revision too far":       put("thing", "old", 2),
		"a deletion of nothing":    {Item: store.Item{Kind: "thing", ID: "none", Revision: 1}, Delete: true},
	} {
		for at := range 3 {
			all := []store.Change{put("thing", "new", 0), {Item: store.Item{Kind: "thing", ID: "gone", Revision: 1}, Delete: true}, put("other", "new", 0)}
			wantErr(t, name, s.Apply(bounded(t), slices.Insert(all, at, bad)...), store.ErrConflict)
		}
	}
	for _, kind := range []store.Kind{"thing", "other"} {
		_, err := s.Get(bounded(t), kind, "new")
		wantErr(t, "after conflicts", err, store.ErrNotFound)
	}
	if got := get(t, s, "thing", "gone"); got.Revision != 1 {
		t.Errorf("revision %d, want 1", got.Revision)
	}
	apply(t, s, put("thing", "new", 0), put("thing", "old", 1), store.Change{Item: store.Item{Kind: "thing", ID: "gone", Revision: 1}, Delete: true})
	apply(t, s) // nothing is no mistake
}

func newTwice(t *testing.T, open Database) {
	s := open(t)
	apply(t, s, put("thing", "a", 0))
	wantErr(t, "the second", s.Apply(bounded(t), put("thing", "a", 0)), store.ErrConflict)
}

func deletes(t *testing.T, open Database) {
	s := open(t)
	apply(t, s, put("thing", "a", 0))
	apply(t, s, store.Change{Item: store.Item{Kind: "thing", ID: "a", Revision: 1}, Delete: true})
	_, err := s.Get(bounded(t), "thing", "a")
	wantErr(t, "after deletion", err, store.ErrNotFound)
	apply(t, s, put("thing", "a", 0))
	if got := get(t, s, "thing", "a"); got.Revision != 1 {
		t.Errorf("revision %d, want 1", got.Revision)
	}
}

func kindsApart(t *testing.T, open Database) {
	s := open(t)
	apply(t, s, put("thing", "a", 0), put("other", "a", 0))
	apply(t, s, put("other", "a", 1))
	if a, b := get(t, s, "thing", "a"), get(t, s, "other", "a"); a.Revision != 1 || b.Revision != 2 || a.Kind != "thing" {
		t.Errorf("got %+v and %+v", a, b)
	}
}

func seenByAnother(t *testing.T, open Database) {
	s, another := open(t), open(t)
	apply(t, s, put("thing", "a", 0))
	c := put("thing", "a", get(t, another, "thing", "a").Revision)
	apply(t, another, c)
	wantErr(t, "from the revision before", s.Apply(bounded(t), c), store.ErrConflict)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, open(t), "thing", "a"); got.Revision != 2 {
		t.Errorf("after closing: revision %d, want 2", got.Revision)
	}
}

func ended(t *testing.T, open Database) {
	s := open(t)
	apply(t, s, put("thing", "a", 0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := s.Get(ctx, "thing", "a")
	_, listErr := s.List(ctx, store.Query{Kind: "thing"})
	for what, err := range map[string]error{"get": getErr, "list": listErr, "apply": s.Apply(ctx, put("thing", "b", 0)), "ping": s.Ping(ctx)} {
		wantErr(t, what, err, store.ErrAway)
		wantErr(t, what, err, context.Canceled)
	}
	_, err := s.Get(bounded(t), "thing", "b")
	wantErr(t, "what the ended call would have made", err, store.ErrNotFound)
}

func closedIsAway(t *testing.T, open Database) {
	s := open(t)
	apply(t, s, put("thing", "a", 0))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	_, getErr := s.Get(bounded(t), "thing", "a")
	_, listErr := s.List(bounded(t), store.Query{Kind: "thing"})
	for what, err := range map[string]error{"get": getErr, "list": listErr, "apply": s.Apply(bounded(t), put("thing", "b", 0)), "ping": s.Ping(bounded(t))} {
		wantErr(t, what, err, store.ErrAway)
	}
}

func pings(t *testing.T, open Database) {
	s := open(t)
	if err := s.Ping(bounded(t)); err != nil {
		t.Error(err)
	}
}
