package server

import (
	"testing"
	"time"
)

// TestSweepLag: a node whose clock is ahead must not forget what a node whose clock is behind would take again.
func TestSweepLag(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t)).Server
	now := s.now()
	for id, ago := range map[string]time.Duration{"dpop:lately": 50 * time.Second, "dpop:long ago": time.Hour} {
		if err := s.store.UseOnce(t.Context(), id, now.Add(-ago)); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range s.background() {
		if l.name != "sweep" {
			continue
		}
		if err := l.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := s.store.Sweep(t.Context(), now); left != 1 || err != nil {
		t.Errorf("CA-38, CA-18 %d were left, %v; want the one that has passed less than a minute ago", left, err)
	}
}
