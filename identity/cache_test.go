package identity

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// known makes an entry for token number n that lives a minute from noon.
func known(n int) *entry {
	e := &entry{until: noon.Add(time.Minute).UnixNano(), who: &access.Principal{Subject: "alice"}}
	binary.BigEndian.PutUint64(e.of[24:], uint64(n))
	e.of[0] = byte(n)
	return e
}

// entries counts what c holds, and fails the test if its two indices differ.
func entries(t *testing.T, c *cache) int {
	t.Helper()
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		if len(s.at) != len(s.ring) {
			t.Fatalf("shard %d: %d in the map, %d in the ring", i, len(s.at), len(s.ring))
		}
		for slot, e := range s.ring {
			if e.slot != slot || s.at[e.of] != e {
				t.Fatalf("shard %d: slot %d holds the entry of slot %d", i, slot, e.slot)
			}
		}
		n += len(s.ring)
	}
	return n
}

func TestCacheIsBounded(t *testing.T) {
	for name, size := range map[string]int{"one": 1, "one lock": 100, "many locks": 4096} {
		t.Run(name, func(t *testing.T) {
			c := newCache(size)
			for n := range 3*size + 7 {
				c.put(known(n), noon)
			}
			if got := entries(t, c); got > size {
				t.Errorf("holds %d entries, want %d at most", got, size)
			}
		})
	}
}

func TestCacheKeepsWhatIsUsed(t *testing.T) {
	c := newCache(10)
	used := known(0)
	c.put(used, noon)
	for n := 1; n < 100; n++ {
		if c.get(&used.of, noon) == nil {
			t.Fatalf("forgot the entry in use after %d others", n-1)
		}
		c.put(known(n), noon)
	}
}

func TestCacheForgetsTheDeadFirst(t *testing.T) {
	c := newCache(10)
	for n := range 10 {
		e := known(n)
		if n == 5 {
			e.key = new(Key) // never trusted
		}
		c.put(e, noon)
		e.used.Store(true)
	}
	c.put(known(10), noon)
	dead := known(5)
	if c.shards[0].at[dead.of] != nil {
		t.Error("the dead entry is still there")
	}
	if got := entries(t, c); got != 10 {
		t.Errorf("holds %d entries, want 10", got)
	}
}

func TestCacheDropsWhatEnded(t *testing.T) {
	for name, c := range map[string]struct {
		at   time.Time
		key  func() *Key
		want bool
	}{
		"alive":             {noon, func() *Key { return nil }, true},
		"a tick before":     {noon.Add(time.Minute - 1), func() *Key { return nil }, true},
		"at its end":        {noon.Add(time.Minute), func() *Key { return nil }, false},
		"key trusted":       {noon, func() *Key { k := new(Key); k.TrustUntil(noon.Add(1)); return k }, true},
		"key stale":         {noon, func() *Key { k := new(Key); k.TrustUntil(noon); return k }, false},
		"key withdrawn":     {noon, func() *Key { k := new(Key); k.TrustUntil(noon.Add(1)); k.Withdraw(); return k }, false},
		"key never trusted": {noon, func() *Key { return new(Key) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, all := known(1), newCache(10)
			e.key = c.key()
			all.put(e, noon)
			if got := all.get(&e.of, c.at) != nil; got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if got := entries(t, all) == 1; got != c.want {
				t.Errorf("is kept: %v, want %v", got, c.want)
			}
		})
	}
}

func TestCacheReplacesAnEntry(t *testing.T) {
	c := newCache(10)
	c.put(known(1), noon)
	second := known(1)
	c.put(second, noon)
	if c.get(&second.of, noon) != second.who || entries(t, c) != 1 {
		t.Error("the second entry did not take the place of the first")
	}
}

func TestCacheUnderMany(t *testing.T) {
	c := newCache(2000)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for n := range 3000 {
				e := known(n * (worker + 1) % 5000)
				at := noon.Add(time.Duration(n%70) * time.Second)
				if c.get(&e.of, at) == nil {
					c.put(e, at)
				}
			}
		})
	}
	all.Wait()
	if got := entries(t, c); got > 2000 {
		t.Errorf("holds %d entries", got)
	}
}
