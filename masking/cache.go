package masking

import "sync"

// cacheSize is how many entries a cache has at most.
const cacheSize = 1024

// cache keeps what is dear to make, for at most cacheSize keys: some of them
// are chosen by callers and by models. It is safe for concurrent use.
type cache[K comparable, V any] struct {
	mu sync.RWMutex
	m  map[K]V
}

// get returns what is kept for key, or what make makes of it.
func (c *cache[K, V]) get(key K) (v V, found bool) {
	c.mu.RLock()
	v, found = c.m[key]
	c.mu.RUnlock()
	return v, found
}

// put keeps v for key, in another's place where there are too many. What was
// put first stays, so that all use the same.
func (c *cache[K, V]) put(key K, v V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, found := c.m[key]; found {
		return first
	}
	if c.m == nil {
		c.m = make(map[K]V)
	}
	if len(c.m) >= cacheSize {
		for other := range c.m {
			delete(c.m, other)
			break
		}
	}
	c.m[key] = v
	return v
}
