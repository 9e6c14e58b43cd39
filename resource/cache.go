package resource

import (
	"crypto/sha256"
	"sync"
	"time"
)

// A verdict is a token that was accepted, and what it depends on.
type verdict struct {
	token *Token
	key   Key // that signed it; the zero value for an introspected token
	until time.Time
}

// A cache remembers verdicts under the hash of the token. It holds at most size of them, in two generations: when the
// young one is full it becomes the old one, and what nobody asked for meanwhile is forgotten. Only accepted tokens get
// in, so that a stranger cannot fill it. Safe for concurrent use.
type cache struct {
	half int // the size of a generation; 0 remembers nothing

	mu         sync.Mutex // guards what follows
	young, old map[[sha256.Size]byte]verdict
}

func newCache(size int) *cache {
	c := &cache{}
	if size > 0 {
		c.half = max(size/2, 1)
	}
	return c
}

// get returns a verdict that is still good at now.
func (c *cache) get(sum [sha256.Size]byte, now time.Time) (verdict, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.young[sum]
	if !ok {
		if v, ok = c.old[sum]; ok {
			delete(c.old, sum)
			c.add(sum, v)
		}
	}
	if ok && !now.Before(v.until) {
		delete(c.young, sum)
		return verdict{}, false
	}
	return v, ok
}

func (c *cache) put(sum [sha256.Size]byte, v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(sum, v)
}

// add needs mu.
func (c *cache) add(sum [sha256.Size]byte, v verdict) {
	if c.half == 0 {
		return
	}
	if len(c.young) >= c.half || c.young == nil {
		c.old, c.young = c.young, make(map[[sha256.Size]byte]verdict)
	}
	c.young[sum] = v
}
