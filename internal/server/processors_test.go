package server

import (
	"slices"
	"testing"
)

// TestProcessorsOfOneCore: two while there are many writes to the disk, one when there have been none for five seconds.
func TestProcessorsOfOneCore(t *testing.T) {
	var writes int64
	var told []int
	p := &processors{writes: func() int64 { return writes }, set: func(n int) { told = append(told, n) }, now: 1, calm: calmSteps}
	steps := func(n int, each int64) {
		t.Helper()
		for range n {
			writes += each
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
	steps(100, manyWrites-1)
	check("few writes")
	steps(3, manyWrites)
	check("many writes", 2)
	steps(calmSteps-1, 0)
	check("almost five seconds of few writes", 2)
	steps(1, manyWrites)
	steps(calmSteps-1, 0)
	check("many in between", 2)
	steps(2, 0)
	check("five seconds of few writes", 2, 1)
}

func TestProcessorsAreLeftAlone(t *testing.T) {
	for name, of := range map[string]struct {
		cores   int
		decided string
	}{"several cores": {cores: 2}, "GOMAXPROCS": {1, "1"}} {
		s := &Server{}
		if err := s.shareCore(of.cores, of.decided); err != nil || len(s.loops) != 0 {
			t.Errorf("%s: %v, %d loops", name, err, len(s.loops))
		}
	}
}
