package main

import (
	"runtime"
	"testing"
)

// TestHeapFloor: the collector waits for a larger heap, unless the operator has said how large it is to be.
func TestHeapFloor(t *testing.T) {
	grown := func(gogc, limit string) bool {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		release := holdHeapFloor(gogc, limit)
		runtime.GC()
		runtime.ReadMemStats(&after)
		release()
		return after.NextGC >= before.NextGC+heapFloor
	}
	for _, c := range []struct {
		gogc, limit string
		want        bool
	}{{"", "", true}, {"50", "", false}, {"", "64MiB", false}} {
		if got := grown(c.gogc, c.limit); got != c.want {
			t.Errorf("GOGC=%q GOMEMLIMIT=%q: grown %v, want %v", c.gogc, c.limit, got, c.want)
		}
	}
}
