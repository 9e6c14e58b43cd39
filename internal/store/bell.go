package store

import (
	"context"
	"sync"
)

// A Bell tells those who watch a store of changes within this process. Its zero value is ready, and safe for concurrent use.
type Bell struct {
	mu       sync.Mutex
	watchers map[chan struct{}]bool // under mu
}

// Ring tells all who watch. It waits for nobody.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for watcher := range b.watchers {
		select {
		case watcher <- struct{}{}:
		default: // it has not heard the last one yet
		}
	}
}

// Watch is a Store's.
func (b *Bell) Watch(ctx context.Context, changed func()) error {
	rung := make(chan struct{}, 1)
	b.mu.Lock()
	if b.watchers == nil {
		b.watchers = map[chan struct{}]bool{}
	}
	b.watchers[rung] = true
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, rung)
	}()
	changed()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rung:
			changed()
		}
	}
}
