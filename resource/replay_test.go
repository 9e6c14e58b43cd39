package resource

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestReplays holds the promise of ReplayStore for the one in memory.
func TestReplays(t *testing.T) {
	start := time.Unix(1_000_000_005, 0) // in the middle of a slice
	now := start
	ctx := context.Background()
	clock := func() time.Time { return now }
	t.Run("S32 once, until the time has passed", func(t *testing.T) {
		now = start
		m := newReplays(10, clock)
		until := now.Add(70 * time.Second)
		if err := m.UseOnce(ctx, "a", until); err != nil {
			t.Fatal(err)
		}
		for ; now.Before(until); now = now.Add(time.Second) {
			if err := m.UseOnce(ctx, "a", now.Add(70*time.Second)); !errors.Is(err, ErrReplayed) {
				t.Fatalf("after %v: %v", now.Sub(start), err)
			}
		}
		now = until.Add(2 * replaySlice)
		if err := m.UseOnce(ctx, "a", now.Add(time.Minute)); err != nil {
			t.Errorf("long after: %v", err)
		}
		if m.held != 1 || len(m.slices) != 1 {
			t.Errorf("holds %d in %d slices, want 1", m.held, len(m.slices))
		}
	})
	t.Run("S32 a full memory refuses what is new and forgets nothing", func(t *testing.T) {
		now = start
		m := newReplays(100, clock)
		for n := range 100 {
			if err := m.UseOnce(ctx, strconv.Itoa(n), now.Add(time.Minute+time.Duration(n)*time.Second/10)); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.UseOnce(ctx, "more", now.Add(time.Minute)); err == nil || errors.Is(err, ErrReplayed) {
			t.Errorf("one too many: %v", err)
		}
		for n := range 100 {
			if err := m.UseOnce(ctx, strconv.Itoa(n), now.Add(time.Minute)); !errors.Is(err, ErrReplayed) {
				t.Fatalf("%d was forgotten: %v", n, err)
			}
		}
		now = now.Add(2 * time.Minute)
		if err := m.UseOnce(ctx, "more", now.Add(time.Minute)); err != nil {
			t.Errorf("when there is room again: %v", err)
		}
	})
	t.Run("S32 of many at once one is first", func(t *testing.T) {
		now = start
		m := newReplays(100, clock)
		var wait sync.WaitGroup
		first := make(chan bool, 64)
		for range cap(first) {
			wait.Go(func() { first <- m.UseOnce(ctx, "a", now.Add(time.Minute)) == nil })
		}
		wait.Wait()
		close(first)
		count := 0
		for won := range first {
			if won {
				count++
			}
		}
		if count != 1 {
			t.Errorf("%d were first", count)
		}
	})
}
