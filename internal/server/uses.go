package server

import (
	"context"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// maxUsesKept is how many uses are kept in one transaction: others who write wait for no more than these, however many clients
// have asked since the last flush.
const maxUsesKept = 100

// uses takes the last uses of credentials from the authority to the store, behind the requests that they tell of: no request
// waits for it or fails with it. What the store does not take is tried again, and nothing else is taken before: while the store
// is away the authority keeps what it has room for. One goroutine at a time may use it.
type uses struct {
	take func() []store.Use
	keep func(context.Context, []store.Use) error

	waiting []store.Use // were taken, and not kept yet
}

func (u *uses) flush(ctx context.Context) error {
	if err := u.keepWaiting(ctx); err != nil {
		return err
	}
	u.waiting = u.take()
	return u.keepWaiting(ctx)
}

func (u *uses) keepWaiting(ctx context.Context) error {
	for len(u.waiting) > 0 {
		part, began := u.waiting[:min(len(u.waiting), maxUsesKept)], time.Now()
		if err := u.keep(ctx, part); err != nil {
			return err
		}
		if u.waiting = u.waiting[len(part):]; len(u.waiting) > 0 {
			if err := store.Rest(ctx, time.Since(began)); err != nil { // others had to wait for so long
				return err
			}
		}
	}
	return nil
}
