package authority

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/internal/jose"
)

// TestTurns: so many sign at once, the others in the order in which they came, and each of them once.
func TestTurns(t *testing.T) {
	for _, most := range []int{1, 2, 8} {
		synctest.Test(t, func(t *testing.T) {
			turns := newTurns(most)
			var mu sync.Mutex
			var order []int
			atOnce, peak := 0, 0
			for i := range 4 * most {
				go func() {
					defer turns.give(turns.take())
					mu.Lock()
					order = append(order, i)
					atOnce++
					peak = max(peak, atOnce)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					atOnce--
					mu.Unlock()
				}()
				synctest.Wait()
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if peak != most || len(order) != 4*most {
				t.Errorf("%d sign at once, and %d in all, want %d and %d", peak, len(order), most, 4*most)
			}
			for place, came := range order {
				if place/most != came/most {
					t.Errorf("%d at once: they sign in the order %v, want those first who came first", most, order)
				}
			}
			if turns.came.Load() != 0 {
				t.Errorf("%d turns were not given back", turns.came.Load())
			}
		})
	}
}

// TestTurnsAreFull: what takes 10 ms is full when there is a tenth of a second of it, and what takes 1 ms when there are ten times
// as many; of what takes longer than that, as many wait as there are turns.
func TestTurnsAreFull(t *testing.T) {
	for _, test := range []struct {
		each       time.Duration
		most, want int
	}{
		{time.Millisecond, 1, 100},
		{10 * time.Millisecond, 1, 10},
		{10 * time.Millisecond, 4, 40},
		{time.Second, 1, 1},
		{time.Second, 4, 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			turns := newTurns(test.most)
			sign := func() {
				since := turns.take()
				time.Sleep(test.each)
				turns.give(since)
			}
			for range 400 { // by which it sees how long one takes
				go sign()
			}
			time.Sleep(time.Hour)
			if turns.full() {
				t.Error("full, and nobody waits")
			}
			for !turns.full() {
				go sign()
				synctest.Wait()
			}
			if waiting := int(turns.came.Load() - turns.most); waiting < test.want || waiting > test.want+test.want/10+1 {
				t.Errorf("%v each, %d at once: full with %d, want %d", test.each, test.most, waiting, test.want)
			}
			time.Sleep(time.Hour)
		})
	}
}

// TestLongWork: what takes long is counted, so that the runtime can be given a processor more, and what does not is not.
func TestLongWork(t *testing.T) {
	c := newCluster(t, 1)
	defer c.close()
	a := c.nodes[0]
	c.must(a.ring.Ensure(t.Context(), jose.PS256))
	for uri, want := range map[string]int64{apiA: 0, apiB: 0, apiO: 0, apiS: 1} { // ES256, Ed25519, opaque, PS256
		before, _ := a.LongWork()
		c.ask(0, "fresh", "resource", uri)
		if after, hashes := a.LongWork(); after-before != want || hashes != 0 {
			t.Errorf("%s: %d long signatures and %d slow hashes, want %d and none", uri, after-before, hashes, want)
		}
	}
}

// TestTokenWaitsForItsTurn: a token is signed when another is done, and the node says meanwhile that one waits.
func TestTokenWaitsForItsTurn(t *testing.T) {
	c := newCluster(t, 1)
	defer c.close()
	a := c.nodes[0]
	for range a.turns.most {
		a.turns.take()
	}
	issued := make(chan error, 1)
	go func() {
		_, err := c.try(0, "fresh")
		issued <- err
	}()
	for a.Waiting() == 0 {
		select {
		case err := <-issued:
			t.Fatalf("a token was issued out of turn: %v", err)
		default:
			runtime.Gosched()
		}
	}
	for range a.turns.most {
		a.turns.give(time.Time{})
	}
	if err := <-issued; err != nil || a.Waiting() != 0 || a.Overloaded() {
		t.Errorf("got %v, %d wait", err, a.Waiting())
	}
}
