package identity

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/sluice-gateway/sluice/access"
)

// digest stands for a token: the token itself is not kept anywhere.
type digest [sha256.Size]byte

func digestOf(token string) digest {
	// Sum256 only reads, so the string may lend its bytes instead of being
	// copied to the heap for each call.
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token)))
}

// cache remembers what tokens proved, in a bounded number of entries. Whom
// to forget first is found as the CLOCK algorithm does: a hand goes round,
// takes away the mark of use, and forgets who has none.
type cache struct {
	shards []shard
	each   int
}

// shards is how many locks a large cache has; a power of two up to 256.
const shards = 16

type shard struct {
	mu   sync.RWMutex
	at   map[digest]*entry
	ring []*entry
	hand int
	_    [64]byte // each lock on a cache line of its own
}

type entry struct {
	of    digest
	slot  int
	until int64 // Unix nanoseconds
	who   *access.Principal
	key   *Key
	used  atomic.Bool
}

func newCache(size int) *cache {
	n := shards
	if size < 64*shards {
		n = 1
	}
	c := &cache{shards: make([]shard, n), each: max(1, size/n)}
	for i := range c.shards {
		c.shards[i].at = make(map[digest]*entry)
	}
	return c
}

func (c *cache) shard(d *digest) *shard { return &c.shards[int(d[0])&(len(c.shards)-1)] }

func (e *entry) alive(now time.Time) bool {
	return now.UnixNano() < e.until && (e.key == nil || e.key.Trusted(now))
}

// get returns who showed this token before, if that still counts.
func (c *cache) get(d *digest, now time.Time) *access.Principal {
	s := c.shard(d)
	s.mu.RLock()
	e := s.at[*d]
	s.mu.RUnlock()
	if e == nil {
		return nil
	}
	if !e.alive(now) {
		s.forget(e)
		return nil
	}
	if !e.used.Load() { // most hits find it set, and then write nothing
		e.used.Store(true)
	}
	return e.who
}

// put remembers e, and forgets another one if there is no room.
func (c *cache) put(e *entry, now time.Time) {
	s := c.shard(&e.of)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.at[e.of]; old != nil {
		s.drop(old)
	}
	for len(s.ring) >= c.each {
		s.hand %= len(s.ring)
		next := s.ring[s.hand]
		if next.alive(now) && next.used.Swap(false) {
			s.hand++
			continue
		}
		s.drop(next)
	}
	e.slot = len(s.ring)
	s.ring = append(s.ring, e)
	s.at[e.of] = e
}

// forget drops e unless another goroutine did so already.
func (s *shard) forget(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at[e.of] == e {
		s.drop(e)
	}
}

// drop takes e out; the caller holds the lock.
func (s *shard) drop(e *entry) {
	last := s.ring[len(s.ring)-1]
	s.ring[e.slot], last.slot = last, e.slot
	s.ring[len(s.ring)-1] = nil
	s.ring = s.ring[:len(s.ring)-1]
	delete(s.at, e.of)
}
