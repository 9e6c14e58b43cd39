package sqlstore

import (
	"testing"
	"time"
)

// TestSweepNext: steps become smaller when they take long, larger again when they do not, and never as small as to get nowhere.
func TestSweepNext(t *testing.T) {
	for name, c := range map[string]struct {
		rows int
		took time.Duration
		want int
	}{
		"fast":                {500, 2 * time.Millisecond, 500},
		"just fast enough":    {500, 10 * time.Millisecond, 500},
		"slow":                {500, 50 * time.Millisecond, 100},
		"very slow":           {500, 5 * time.Second, 50},
		"slow at its least":   {50, time.Second, 50},
		"fast again":          {100, time.Millisecond, 150},
		"as fast as needed":   {100, 8 * time.Millisecond, 125},
		"in no time at all":   {400, 0, 500},
		"for the clock's end": {500, 1<<63 - 1, 50},
	} {
		if got := sweepNext(c.rows, c.took); got != c.want {
			t.Errorf("%s: %d rows in %v: got %d, want %d", name, c.rows, c.took, got, c.want)
		}
	}
}
