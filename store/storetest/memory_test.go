package storetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Database {
		db := storetest.NewMemory()
		return func(t *testing.T) store.Store {
			s := db.Again()
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
	})
}

// A test of others drives time itself.
func TestMemoryInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		defer func() { _ = s.Close() }()
		hints := s.Watch(t.Context(), "thing")
		<-hints
		start := time.Now()
		if hint := <-hints; hint != (store.Hint{Kind: "thing"}) || time.Since(start) != store.Poll {
			t.Errorf("got %+v after %v", hint, time.Since(start))
		}
	})
}

func TestMemoryCanBeAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		another := s.Again()
		defer func() { _, _ = s.Close(), another.Close() }()
		hints := s.Watch(t.Context(), "thing")
		<-hints
		s.SetAway(true)
		thing := store.Change{Item: store.Item{Kind: "thing", ID: "a"}}
		if err := s.Apply(t.Context(), thing); !errors.Is(err, store.ErrAway) {
			t.Errorf("away: %v", err)
		}
		if err := another.Ping(t.Context()); err != nil {
			t.Errorf("the other replica: %v", err)
		}
		start := time.Now()
		s.SetAway(false)
		if hint := <-hints; hint.ID != "" || time.Since(start) != 0 {
			t.Errorf("back again: %+v after %v", hint, time.Since(start))
		}
		if err := s.Apply(t.Context(), thing); err != nil {
			t.Error(err)
		}
	})
}

func TestMemoryBefore(t *testing.T) {
	s := storetest.NewMemory()
	defer func() { _ = s.Close() }()
	var ops []string
	s.Before(func(op string, changes []store.Change) error {
		ops = append(ops, op)
		if len(changes) == 1 && changes[0].ID == "bad" {
			return store.ErrConflict
		}
		return nil
	})
	ctx := context.Background()
	_, _ = s.Get(ctx, "thing", "bad")
	_, _ = s.List(ctx, store.Query{Kind: "thing"})
	if err := s.Apply(ctx, store.Change{Item: store.Item{Kind: "thing", ID: "bad"}}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if err := s.Ping(ctx); err != nil || len(ops) != 4 {
		t.Errorf("%v, %v", err, ops)
	}
}
