package server

import (
	"slices"
	"testing"
)

// TestProcessors: one more than cores while they are held up often, and as many when they have not been for five seconds.
func TestProcessors(t *testing.T) {
	var holds int64
	var told []int
	p := &processors{holds: func() int64 { return holds }, set: func(n int) { told = append(told, n) }, cores: 1, now: 1, calm: calmSteps}
	steps := func(n int, each int64) {
		t.Helper()
		for range n {
			holds += each
			if err := p.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(when string, want ...int) {
		t.Helper()
		if !slices.Equal(told, want) {
			t.Fatalf("%s: the runtime was told %v, want %v", when, told, want)
		}
	}
	steps(100, manyHolds-1)
	check("few")
	steps(3, manyHolds)
	check("many", 2)
	steps(calmSteps-1, 0)
	check("almost five seconds of few", 2)
	steps(1, manyHolds)
	steps(calmSteps-1, 0)
	check("many in between", 2)
	steps(2, 0)
	check("five seconds of few", 2, 1)
}

func TestProcessorsAreLeftAlone(t *testing.T) {
	s := &Server{}
	if err := s.shareCores(1, "1"); err != nil || len(s.loops) != 0 {
		t.Errorf("GOMAXPROCS is set: %v, %d loops", err, len(s.loops))
	}
}
