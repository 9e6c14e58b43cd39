package resource

import (
	"crypto/sha256"
	"strconv"
	"testing"
	"time"
)

func sum(n int) [sha256.Size]byte { return sha256.Sum256([]byte(strconv.Itoa(n))) }

func TestCache(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	good := verdict{token: &Token{}, until: now.Add(time.Second)}
	t.Run("is bounded", func(t *testing.T) {
		c := newCache(100)
		for n := range 10_000 {
			c.put(sum(n), good)
			if held := len(c.young) + len(c.old); held > 100 {
				t.Fatalf("holds %d verdicts after %d", held, n)
			}
		}
	})
	t.Run("keeps what is asked for", func(t *testing.T) {
		c := newCache(100)
		for n := range 10_000 {
			c.put(sum(n), good)
			if _, ok := c.get(sum(0), now); !ok {
				t.Fatalf("forgot after %d others", n)
			}
			if held := len(c.young) + len(c.old); held > 100 {
				t.Fatalf("holds %d verdicts after %d", held, n)
			}
		}
		if _, ok := c.get(sum(1), now); ok {
			t.Error("kept what nobody asked for")
		}
	})
	t.Run("ends with the token", func(t *testing.T) {
		c := newCache(100)
		c.put(sum(1), good)
		if _, ok := c.get(sum(1), now.Add(time.Second)); ok {
			t.Error("gave an expired verdict")
		}
	})
	t.Run("of no size remembers nothing", func(t *testing.T) {
		for _, size := range []int{0, -1} {
			c := newCache(size)
			c.put(sum(1), good)
			if _, ok := c.get(sum(1), now); ok {
				t.Errorf("size %d remembered", size)
			}
		}
	})
	t.Run("of one remembers one", func(t *testing.T) {
		c := newCache(1)
		c.put(sum(1), good)
		if _, ok := c.get(sum(1), now); !ok {
			t.Error("forgot")
		}
	})
}
