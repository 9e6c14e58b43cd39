package server

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// A loop is background work: a step that is done again and again until the server stops.
type loop struct {
	name    string
	every   time.Duration
	timeout time.Duration // of one step
	step    func(context.Context) error
	soon    chan struct{} // with room for one: has the step done before its time; nil: nothing does
}

// gather is how long a step that is to be done soon waits for what comes right behind: a hundred changes in a row are one step or a few.
const gather = 20 * time.Millisecond

// run does the step every interval until ctx ends. A step that fails or panics is tried again at the next interval. The log
// hears of it when it begins and when it is over, not each time: a database that is away for an hour is two lines.
func (l loop) run(ctx context.Context, logger *slog.Logger) {
	ticker := time.NewTicker(l.every)
	defer ticker.Stop()
	var failing bool
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-l.soon:
			_ = store.Rest(ctx, gather) // once sees that ctx has ended
		}
		err := l.once(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			failing, since = true, time.Now()
			attrs := []any{"work", l.name, "error", err}
			if p := (*panicked)(nil); errors.As(err, &p) {
				attrs = append(attrs, keyStack, p.stack)
			}
			logger.Error("background work fails", attrs...)
		case err == nil && failing:
			failing = false
			logger.Info("background work succeeds again", "work", l.name, "after", time.Since(since).Round(time.Millisecond).String())
		}
	}
}

func (l loop) once(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	defer func() {
		if reason := recover(); reason != nil {
			err = &panicked{panicText(reason), string(debug.Stack())}
		}
	}()
	return l.step(ctx)
}

// panicked is a step that panicked.
type panicked struct{ reason, stack string }

func (p *panicked) Error() string { return "panic: " + p.reason }
