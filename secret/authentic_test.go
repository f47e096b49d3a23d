package secret_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/storetest"
)

// vouched is a store behind keys, and what is under it.
type vouched struct {
	*secret.Authentic
	under *storetest.Memory
	log   strings.Builder
	found []string
}

func vouch(t *testing.T, under *storetest.Memory, keys string) *vouched {
	t.Helper()
	v := &vouched{under: under}
	v.Authentic = secret.NewAuthentic(under, secret.AuthenticOptions{
		Ring: ring(t, keys), Kinds: []store.Kind{"grant", "request"}, Log: slog.New(slog.NewTextHandler(&v.log, nil)),
		Found: func(kind store.Kind, id string, why error) {
			v.found = append(v.found, fmt.Sprintf("%s %s: %v", kind, id, why))
		},
	})
	return v
}

func grantItem(id string) store.Item {
	return store.Item{Kind: "grant", ID: id, Owner: "alice", State: "live", Expires: time.UnixMilli(1_900_000_000_000), Body: []byte(`{"id":"` + id + `"}`)}
}

func apply(t *testing.T, s store.Store, items ...store.Item) {
	t.Helper()
	for _, item := range items {
		if err := s.Apply(t.Context(), store.Change{Item: item}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAuthenticIsAStore: what is not of its kinds goes through as it is, and so does
// what it has written itself.
func TestAuthenticIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database {
		db := storetest.NewMemory()
		return func(t *testing.T) store.Store {
			s := db.Again()
			t.Cleanup(func() { _ = s.Close() })
			return secret.NewAuthentic(s, secret.AuthenticOptions{Ring: ring(t, "a"), Kinds: []store.Kind{"other"}, Log: slog.New(slog.DiscardHandler)})
		}
	})
}

// TestWhoeverWritesToTheDatabaseGivesHimselfNothing: each way to make or change an item
// without the key leaves one that is not there.
func TestWhoeverWritesToTheDatabaseGivesHimselfNothing(t *testing.T) {
	for name, c := range map[string]struct {
		forge func(item *store.Item)
		why   string
	}{
		"as it was written":       {func(*store.Item) {}, ""},
		"a body without a hash":   {func(i *store.Item) { i.Body = []byte(`{"id":"mine","state":"live"}`) }, "no keyed hash"},
		"an empty body":           {func(i *store.Item) { i.Body = nil }, "no keyed hash"},
		"a body that is cut":      {func(i *store.Item) { i.Body = i.Body[:40] }, "no keyed hash"},
		"another body":            {func(i *store.Item) { i.Body = append(i.Body[:len(i.Body)-1], '!') }, "not what was sealed"},
		"one byte of the hash":    {func(i *store.Item) { i.Body[20] ^= 1 }, "not what was sealed"},
		"another key's name":      {func(i *store.Item) { i.Body[1] ^= 1 }, "key that is not configured"},
		"another id":              {func(i *store.Item) { i.ID = "mine" }, "not what was sealed"},
		"another kind":            {func(i *store.Item) { i.Kind = "request" }, "not what was sealed"},
		"another owner":           {func(i *store.Item) { i.Owner = "mallory" }, "not what was sealed"},
		"another state":           {func(i *store.Item) { i.State = "revoked" }, "not what was sealed"},
		"a later end":             {func(i *store.Item) { i.Expires = i.Expires.Add(time.Hour) }, "not what was sealed"},
		"no end":                  {func(i *store.Item) { i.Expires = time.Time{} }, "not what was sealed"},
		"a part moved to another": {func(i *store.Item) { i.Owner, i.State = "alicel", "ive" }, "not what was sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			v := vouch(t, storetest.NewMemory(), "a")
			apply(t, v, grantItem("g"))
			raw, err := v.under.Get(t.Context(), "grant", "g")
			if err != nil || strings.HasPrefix(string(raw.Body), "{") {
				t.Fatalf("kept as %q, %v", raw.Body, err)
			}
			raw.Body = []byte(string(raw.Body))
			if err := v.under.Apply(t.Context(), store.Change{Item: raw, Delete: true}); err != nil {
				t.Fatal(err)
			}
			c.forge(&raw)
			raw.Revision = 0 // it will be 1, as the one that was written
			apply(t, v.under, raw)
			got, err := v.Get(t.Context(), raw.Kind, raw.ID)
			all, listed := v.List(t.Context(), store.Query{Kind: raw.Kind})
			if listed != nil {
				t.Fatal(listed)
			}
			if c.why == "" {
				if err != nil || string(got.Body) != `{"id":"g"}` || len(all) != 1 || string(all[0].Body) != string(got.Body) || len(v.found) != 0 {
					t.Errorf("got %+v, %v, listed %+v, found %q", got, err, all, v.found)
				}
				return
			}
			if !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), c.why) || got.Body != nil || got.Revision == 0 {
				t.Errorf("got %+v, %v, want %s", got, err, c.why)
			}
			for _, item := range all {
				if item.ID == raw.ID {
					t.Errorf("listed %+v", item)
				}
			}
			if len(v.found) != 1 || !strings.Contains(v.found[0], c.why) || strings.Count(v.log.String(), "level=ERROR") != 1 {
				t.Errorf("found %q, logged %s: once each is wanted", v.found, v.log.String())
			}
			if strings.Contains(v.log.String(), "mine\\\"") {
				t.Error("the log quotes the body")
			}
			got.Body, got.Expires = []byte("anew"), time.Time{}
			apply(t, v, got) // in its place
			if got, err := v.Get(t.Context(), raw.Kind, raw.ID); err != nil || string(got.Body) != "anew" {
				t.Errorf("written anew: %+v, %v", got, err)
			}
		})
	}
}

// TestAnOlderStateKeepsItsRevision: who puts one back can't give it a later one, by which
// a replica that has seen what came after would take it for news.
func TestAnOlderStateKeepsItsRevision(t *testing.T) {
	v := vouch(t, storetest.NewMemory(), "a")
	apply(t, v, grantItem("g"))
	before, err := v.under.Get(t.Context(), "grant", "g")
	if err != nil {
		t.Fatal(err)
	}
	used := grantItem("g")
	used.Revision, used.State = 1, "used"
	apply(t, v, used)
	before.Revision = 2 // what it is written in the place of
	apply(t, v.under, before)
	if got, err := v.Get(t.Context(), "grant", "g"); !errors.Is(err, store.ErrNotFound) || got.Revision != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestKeysChangeInTwoSteps: replicas that open with a key before one seals with it all
// read what any of them writes.
func TestKeysChangeInTwoSteps(t *testing.T) {
	under := storetest.NewMemory()
	for i, step := range [][2]string{{"a", "ab"}, {"ab", "ba"}, {"ba", "ba"}, {"ba", "b"}} {
		for j, keys := range step {
			id := fmt.Sprint(i, j)
			vouch(t, under, keys).Renew(t.Context())
			apply(t, vouch(t, under, keys), grantItem(id))
			if j > 0 && step[1] == "b" {
				break // the old key goes when all are under the new one
			}
			for _, other := range step {
				if _, err := vouch(t, under, other).Get(t.Context(), "grant", id); err != nil {
					t.Errorf("step %d: what %q writes is not there for %q: %v", i, keys, other, err)
				}
			}
		}
	}
	all, err := vouch(t, under, "b").List(t.Context(), store.Query{Kind: "grant"})
	if err != nil || len(all) != 8 {
		t.Errorf("%d of 8 are left, %v", len(all), err)
	}
}

// TestOfManyForgeriesSomeAreTold: they fill no log, however often they are listed.
func TestOfManyForgeriesSomeAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vouch(t, storetest.NewMemory(), "a")
		for i := range 1500 {
			apply(t, v.under, grantItem(fmt.Sprint(i)))
		}
		for _, want := range []int{1024, 1024, 2048, 2048} {
			if want > len(v.found) && len(v.found) > 0 {
				time.Sleep(time.Hour)
			}
			if all, err := v.List(t.Context(), store.Query{Kind: "grant"}); err != nil || len(all) != 0 || len(v.found) != want {
				t.Fatalf("told of %d, want %d; listed %d, %v", len(v.found), want, len(all), err)
			}
		}
	})
}

// TestPagesStayFull where items that are not ours are left out, so that nobody takes a
// short page for the last one; and what has ended is there to be deleted.
func TestPagesStayFull(t *testing.T) {
	v := vouch(t, storetest.NewMemory(), "a")
	for i := range 50 {
		item := grantItem(fmt.Sprintf("g%02d", i))
		if i%3 == 0 || i >= 10 && i < 30 {
			apply(t, v.under, item)
		} else {
			apply(t, v, item)
		}
	}
	var ids []string
	for q := (store.Query{Kind: "grant", Limit: 4}); ; q.After = ids[len(ids)-1] {
		page, err := v.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page {
			if len(item.Body) == 0 {
				t.Errorf("%s is listed", item.ID)
			}
			ids = append(ids, item.ID)
		}
		if len(page) < q.Limit {
			break
		}
	}
	if len(ids) != 19 {
		t.Errorf("listed %q", ids)
	}
	ended, err := v.List(t.Context(), store.Query{Kind: "grant", ExpiresBefore: time.UnixMilli(1_900_000_000_001)})
	if err != nil || len(ended) != 50 || len(ended[0].Body) != 0 || len(ended[1].Body) == 0 {
		t.Errorf("%d have ended, %v", len(ended), err)
	}
	if err := v.Apply(t.Context(), store.Change{Item: ended[0], Delete: true}); err != nil {
		t.Errorf("deleting one that is not ours: %v", err)
	}
	if len(v.found) != 31 {
		t.Errorf("told of %d", len(v.found))
	}
}

// TestKeysOfTagsChange: what is under an old key holds as long as that is configured,
// and is written anew under the new one.
func TestKeysOfTagsChange(t *testing.T) {
	under := storetest.NewMemory()
	old := vouch(t, under, "a")
	apply(t, old, grantItem("1"), grantItem("2"), store.Item{Kind: "thing", ID: "t", Body: []byte("t")})
	apply(t, under, grantItem("forged"))
	if _, err := vouch(t, under, "b").Get(t.Context(), "grant", "1"); !errors.Is(err, secret.ErrUnknownKey) {
		t.Errorf("without the old key: %v", err)
	}
	both := vouch(t, under, "ba")
	if _, err := both.Get(t.Context(), "grant", "1"); err != nil {
		t.Error(err)
	}
	both.Renew(context.Background())
	if all, err := vouch(t, under, "b").List(t.Context(), store.Query{Kind: "grant"}); err != nil || len(all) != 2 || all[0].Revision != 2 {
		t.Errorf("under the new key alone: %+v, %v", all, err)
	}
	both.Renew(context.Background())
	if item, err := both.Get(t.Context(), "grant", "1"); err != nil || item.Revision != 2 {
		t.Errorf("what is under the new key is left alone: %+v, %v", item, err)
	}
	if _, err := both.Get(t.Context(), "grant", "forged"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("renewed what nobody has vouched for: %v", err)
	}
}
