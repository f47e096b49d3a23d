package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/store"
)

var watching = []suiteCase{
	{"a watch hears of each kind at first", watchFirst},
	{"a watch hears of makings, changes and deletions", watchHears},
	{"a watch hears of another store's changes", watchAnother},
	{"a watch does not hear of other kinds, nor of what did not come to pass", watchElse},
	{"a slow reader loses nothing but ids", watchSlow},
	{"a watch says every few seconds that anything may have changed", watchPolls},
	{"the end of its context ends a watch", watchEnds},
	{"closing the store ends its watches", watchClosed},
}

// next waits for a hint.
func next(t *testing.T, hints <-chan store.Hint) (store.Hint, bool) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case hint, ok := <-hints:
		return hint, ok
	case <-timer.C:
		t.Fatal("no hint")
		return store.Hint{}, false
	}
}

// await waits for a hint that is one of the item, or of all its kind.
func await(t *testing.T, hints <-chan store.Hint, kind store.Kind, id string) {
	t.Helper()
	for {
		hint, ok := next(t, hints)
		if !ok {
			t.Fatalf("the watch ended before it heard of %s %s", kind, id)
		}
		if hint.Kind == kind && (hint.ID == id || hint.ID == "") {
			return
		}
	}
}

// first reads the hints that each watch begins with.
func first(t *testing.T, hints <-chan store.Hint, kinds ...store.Kind) {
	t.Helper()
	missing := make(map[store.Kind]bool)
	for _, kind := range kinds {
		missing[kind] = true
	}
	for len(missing) > 0 {
		hint, ok := next(t, hints)
		if !ok || hint.ID != "" {
			t.Fatalf("got %+v, %v before the first hints of %v", hint, ok, missing)
		}
		delete(missing, hint.Kind)
	}
}

func watchFirst(t *testing.T, open Database) {
	s := open(t)
	first(t, s.Watch(bounded(t), "thing", "other"), "thing", "other")
	if _, ok := next(t, open(t).Watch(ended0(t), "thing")); ok {
		// A hint or the end: a watch whose context has ended may give either first.
		t.Log("a hint before the end")
	}
}

func ended0(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func watchHears(t *testing.T, open Database) {
	s := open(t)
	hints := s.Watch(bounded(t), "thing")
	first(t, hints, "thing")
	apply(t, s, put("thing", "a", 0))
	await(t, hints, "thing", "a")
	apply(t, s, put("thing", "a", 1))
	await(t, hints, "thing", "a")
	apply(t, s, store.Change{Item: store.Item{Kind: "thing", ID: "a", Revision: 2}, Delete: true}, put("thing", "b c", 0))
	await(t, hints, "thing", "a")
	await(t, hints, "thing", "b c")
}

// watchAnother also bounds how long a hint takes: a session that was ended on
// one replica has to end on all within a second.
func watchAnother(t *testing.T, open Database) {
	s, another := open(t), open(t)
	hints := s.Watch(bounded(t), "thing")
	first(t, hints, "thing")
	polled := 0
	for i := range 10 {
		id := fmt.Sprint(i)
		apply(t, another, put("thing", id, 0))
		start := time.Now()
		await(t, hints, "thing", id)
		if time.Since(start) > store.Poll/2 {
			polled++
		}
		get(t, s, "thing", id)
	}
	if polled > 5 { // one or two are a busy machine's
		t.Errorf("the poll brought %d of 10 hints", polled)
	}
}

func watchElse(t *testing.T, open Database) {
	s := open(t)
	ctx := bounded(t)
	things := s.Watch(ctx, "thing")
	first(t, things, "thing")
	apply(t, s, put("other", "a", 0))
	wantErr(t, "a conflict", s.Apply(ctx, put("thing", "b", 0), put("other", "a", 0)), store.ErrConflict)
	apply(t, s, put("thing", "last", 0))
	for {
		hint, _ := next(t, things)
		if hint.Kind != "thing" || hint.ID == "a" || hint.ID == "b" {
			t.Errorf("heard of %+v", hint)
		}
		if hint.ID == "last" || hint.ID == "" {
			return
		}
	}
}

func watchSlow(t *testing.T, open Database) {
	s := open(t)
	hints := s.Watch(bounded(t), "thing")
	var changes []store.Change
	for i := range 500 {
		changes = append(changes, put("thing", fmt.Sprint(i), 0))
	}
	apply(t, s, changes...)
	apply(t, s, put("thing", "last", 0))
	heard, all := make(map[string]bool), false
	for !all && !heard["last"] {
		hint, _ := next(t, hints)
		// The first hint was there before the changes; one that comes when it was
		// taken covers them.
		all = hint.ID == "" && len(list(t, s, store.Query{Kind: "thing"})) == 501
		heard[hint.ID] = true
	}
	if !all && len(heard) < 501 {
		t.Errorf("%d hints of 501 changes, and none of all", len(heard))
	}
}

func watchPolls(t *testing.T, open Database) {
	if testing.Short() {
		t.Skip("waits for a poll")
	}
	s := open(t)
	hints := s.Watch(bounded(t), "thing")
	first(t, hints, "thing")
	first(t, hints, "thing")
}

func watchEnds(t *testing.T, open Database) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	hints := s.Watch(ctx, "thing")
	first(t, hints, "thing")
	unread := s.Watch(ctx, "thing")
	cancel()
	for _, c := range []<-chan store.Hint{hints, unread} {
		for ok := true; ok; {
			_, ok = next(t, c)
		}
	}
}

func watchClosed(t *testing.T, open Database) {
	s := open(t)
	hints := s.Watch(bounded(t), "thing")
	unread := s.Watch(bounded(t), "thing", "other")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []<-chan store.Hint{hints, unread, s.Watch(bounded(t), "thing")} {
		for ok := true; ok; {
			_, ok = next(t, c)
		}
	}
}
