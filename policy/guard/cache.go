package guard

import "sync"

// cacheSize is how many models' sets are kept: names are the callers' to choose.
const cacheSize = 1024

// cache keeps the sets of models. It is safe for concurrent use.
type cache struct {
	mu sync.RWMutex
	m  map[string]*sets
}

func (c *cache) get(model string) (s *sets, found bool) {
	c.mu.RLock()
	s, found = c.m[model]
	c.mu.RUnlock()
	return s, found
}

// put keeps s, in another's place where there are too many.
func (c *cache) put(model string, s *sets) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = make(map[string]*sets)
	}
	if len(c.m) >= cacheSize {
		for other := range c.m {
			delete(c.m, other)
			break
		}
	}
	c.m[model] = s
}
