package notify_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/notify"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/storetest"
)

var (
	mallory = notify.Outsider{Channel: "ops", Team: "T1", User: "U1", Name: "mallory", For: time.Hour}
	carol   = &access.Principal{Issuer: "i", Subject: "carol", Name: "carol", Kind: access.User, Groups: []string{"approvers"}}
)

func TestLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		defer func() { _ = s.Close() }()
		l := notify.NewLinks(s)
		ctx := t.Context()
		if _, err := l.Find(ctx, mallory); !errors.Is(err, notify.ErrNoLink) {
			t.Errorf("before: %v", err)
		}
		first, err := l.Code(ctx, mallory)
		if err != nil {
			t.Fatal(err)
		}
		code, err := l.Code(ctx, mallory)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Look(ctx, first); !errors.Is(err, notify.ErrNoLink) {
			t.Errorf("the code before is still good: %v", err)
		}
		if got, err := l.Look(ctx, " "+strings.ToUpper(code)+"\n"); got != mallory || err != nil {
			t.Errorf("look: %+v, %v", got, err)
		}
		items, err := s.List(ctx, store.Query{Kind: notify.KindCode})
		if err != nil || len(items) != 1 || strings.Contains(items[0].ID+string(items[0].Body), code) {
			t.Errorf("the store has %+v, %v", items, err)
		}
		if _, err := l.Link(ctx, code, &access.Principal{Subject: "ci", Kind: access.Service}); err == nil {
			t.Error("a service was linked")
		}
		if until, err := l.Link(ctx, code, carol); err != nil || time.Until(until) != time.Hour {
			t.Errorf("link: %v, %v", until, err)
		}
		if _, err := l.Link(ctx, code, carol); !errors.Is(err, notify.ErrNoLink) {
			t.Errorf("a code was used twice: %v", err)
		}
		who, err := l.Find(ctx, mallory)
		if err != nil || who.ID() != carol.ID() || who.Kind != access.User || who.Groups[0] != "approvers" || time.Until(who.Expires) != time.Hour {
			t.Errorf("find: %+v, %v", who, err)
		}
		for name, other := range map[string]notify.Outsider{
			"another user":      {Channel: "ops", Team: "T1", User: "U2"},
			"another team":      {Channel: "ops", Team: "T2", User: "U1"},
			"another channel":   {Channel: "dev", Team: "T1", User: "U1"},
			"the border moved":  {Channel: "ops", Team: "T1U", User: "1"},
			"a name that is it": {Channel: "ops", Team: "T1", User: "mallory", Name: "mallory"},
		} {
			if _, err := l.Find(ctx, other); !errors.Is(err, notify.ErrNoLink) {
				t.Errorf("%s is carol: %v", name, err)
			}
		}
		time.Sleep(time.Hour)
		if _, err := l.Find(ctx, mallory); !errors.Is(err, notify.ErrNoLink) {
			t.Errorf("after its end: %v", err)
		}
		late, err := l.Code(ctx, mallory)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if _, err := l.Link(ctx, late, carol); !errors.Is(err, notify.ErrNoLink) {
			t.Errorf("an old code: %v", err)
		}
		fresh, err := l.Code(ctx, mallory)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Link(ctx, fresh, carol); err != nil {
			t.Errorf("linked again: %v", err)
		}
		if n, err := l.Unlink(ctx, carol); n != 1 || err != nil {
			t.Errorf("unlink: %d, %v", n, err)
		}
		if _, err := l.Find(ctx, mallory); !errors.Is(err, notify.ErrNoLink) {
			t.Errorf("unlinked: %v", err)
		}
		s.SetAway(true)
		if _, err := l.Find(ctx, mallory); !errors.Is(err, store.ErrAway) {
			t.Errorf("away: %v", err)
		}
		if first, err := l.Once(ctx, "x", time.Now()); first || !errors.Is(err, store.ErrAway) {
			t.Errorf("away: %v, %v", first, err)
		}
	})
}

// TestCodeIsUsedOnce: of two that show one code at the same time, one is linked.
func TestCodeIsUsedOnce(t *testing.T) {
	s := storetest.NewMemory()
	defer func() { _ = s.Close() }()
	l := notify.NewLinks(s)
	code, err := l.Code(t.Context(), mallory)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	n := 0
	for range 10 {
		all.Go(func() {
			if _, err := l.Link(t.Context(), code, carol); err == nil {
				mu.Lock()
				defer mu.Unlock()
				n++
			}
		})
	}
	all.Wait()
	if n != 1 {
		t.Errorf("%d were linked", n)
	}
}
