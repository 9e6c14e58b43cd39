//go:build drills

package drills

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// A setting says what a clock shows: it runs Rate times as fast as the machine's since Origin, and is Ahead of it.
type setting struct {
	Origin time.Time
	Rate   float64
	Ahead  time.Duration
}

func (s setting) now() time.Time {
	if s.Rate == 0 {
		return time.Now().Add(s.Ahead)
	}
	passed := time.Since(s.Origin)
	return s.Origin.Add(time.Duration(float64(passed) * s.Rate)).Add(s.Ahead)
}

// A clock is what processes with a clock of their own follow, and this one.
type clock struct {
	file string
	set  setting
}

func newClock(t *testing.T, rate float64, ahead time.Duration) *clock {
	t.Helper()
	c := &clock{filepath.Join(t.TempDir(), "clock"), setting{time.Now(), rate, ahead}}
	c.write(t)
	return c
}

// jump puts the clock forward, and returns when its followers have seen it.
func (c *clock) jump(t *testing.T, by time.Duration) {
	t.Helper()
	c.set.Ahead += by
	c.write(t)
	time.Sleep(5 * lookAtClock)
}

func (c *clock) write(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(c.set)
	if err == nil {
		err = os.WriteFile(c.file+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(c.file+".new", c.file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const lookAtClock = 10 * time.Millisecond

// followClock returns a clock that shows what the file says.
func followClock(file string) (func() time.Time, error) {
	var current atomic.Pointer[setting]
	look := func() error {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("drills: clock: %w", err)
		}
		s := &setting{}
		if err := json.Unmarshal(text, s); err != nil {
			return fmt.Errorf("drills: clock: %w", err)
		}
		current.Store(s)
		return nil
	}
	if err := look(); err != nil {
		return nil, err
	}
	go func() {
		for range time.Tick(lookAtClock) {
			_ = look() // the drill is over when the file is gone
		}
	}()
	return func() time.Time { return current.Load().now() }, nil
}
