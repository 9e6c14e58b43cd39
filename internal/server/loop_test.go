package server

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLoop(t *testing.T) {
	t.Run("logs when it begins to fail and when it is over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := &logged{}
			logger := NewLogger(log, Log{Level: "info", Format: "json"})
			ctx, cancel := context.WithCancel(t.Context())
			calls := 0
			work := loop{name: "poll", every: time.Second, timeout: time.Second, step: func(context.Context) error {
				switch calls++; {
				case calls == 3:
					panic("a mistake")
				case calls >= 2 && calls <= 100:
					return errors.New("the database is away")
				}
				return nil
			}}
			done := make(chan struct{})
			go func() { defer close(done); work.run(ctx, logger) }()
			time.Sleep(110*time.Second + time.Millisecond)
			cancel()
			<-done
			if calls != 110 {
				t.Errorf("%d steps in 110 s, want 110", calls)
			}
			lines := log.lines(t)
			if len(lines) != 2 || lines[0]["msg"] != "background work fails" || lines[1]["msg"] != "background work succeeds again" || lines[1]["after"] != "1m39s" {
				t.Errorf("got %s", log)
			}
		})
	})
	t.Run("survives a panic from the first step on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := &logged{}
			ctx, cancel := context.WithCancel(t.Context())
			calls := 0
			work := loop{name: "tick", every: time.Second, timeout: time.Second, step: func(context.Context) error {
				calls++
				var m map[string]int
				maps.Copy(m, map[string]int{"x": 1})
				return nil
			}}
			done := make(chan struct{})
			go func() { defer close(done); work.run(ctx, NewLogger(log, Log{Level: "info", Format: "json"})) }()
			time.Sleep(5*time.Second + time.Millisecond)
			cancel()
			<-done
			if calls != 5 || !strings.Contains(log.String(), "nil map") || !strings.Contains(log.String(), "loop_test.go") {
				t.Errorf("%d steps, log %s", calls, log)
			}
		})
	})
	t.Run("a step that hangs ends with its timeout, and all with the context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			calls := 0
			work := loop{name: "sweep", every: time.Second, timeout: 3 * time.Second, step: func(ctx context.Context) error {
				calls++
				<-ctx.Done()
				return ctx.Err()
			}}
			done := make(chan struct{})
			log := &logged{}
			go func() { defer close(done); work.run(ctx, NewLogger(log, Log{Level: "info", Format: "json"})) }()
			time.Sleep(10 * time.Second)
			cancel()
			<-done
			if calls < 3 || calls > 4 || strings.Count(log.String(), "\n") != 1 {
				t.Errorf("%d steps in 10 s, log %s", calls, log)
			}
		})
	})
}
