package main

import (
	"runtime"
	"testing"
	"time"
)

// TestPaceCollector: the collector waits for some garbage, and for no more of it the more is kept; unless the operator has said how large the heap
// is to be.
func TestPaceCollector(t *testing.T) {
	for _, c := range []struct {
		gogc, limit string
		kept        int // MiB
		least, most uint64
	}{
		{"", "", 0, 12, 24},
		{"", "", 40, 15, 20},
		{"", "", 200, 50, 60},
		{"50", "", 40, 35, 60}, // what the test has
		{"", "64MiB", 40, 35, 60},
	} {
		stop := paceCollector(c.gogc, c.limit)
		keep := make([]byte, c.kept<<20)
		var now runtime.MemStats
		var got uint64
		for range 1000 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			if got = (now.NextGC - now.HeapAlloc) >> 20; c.least <= got && got <= c.most {
				break
			}
			time.Sleep(time.Millisecond) // for the goroutine of the cleanups
		}
		if got < c.least || got > c.most {
			t.Errorf("GOGC=%q GOMEMLIMIT=%q: %d MiB of garbage beside %d MiB, want %d to %d", c.gogc, c.limit, got, c.kept, c.least, c.most)
		}
		stop()
		runtime.KeepAlive(keep)
	}
}
