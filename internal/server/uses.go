package server

import (
	"context"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// maxUsesKept is how many uses are kept in one transaction: others who write wait for no more than these, however many clients
// have asked since the last flush.
const maxUsesKept = 100

// usesPause is the least time between two transactions: on a single core, so few in a processorsStep cost the runtime no second
// processor, which would cost the requests far more than the writing does (processors.go).
const usesPause = 50 * time.Millisecond

// uses takes the last uses of credentials from the authority to the store, behind the requests that they tell of: no request
// waits for it or fails with it. What the store does not take is tried again, and nothing else is taken before: while the store
// is away the authority keeps what it has room for. One goroutine at a time may use it.
type uses struct {
	take func() []store.Use
	keep func(context.Context, []store.Use) error

	waiting []store.Use // were taken, and not kept yet
}

// flush keeps all that there is, beside requests: it leaves the store to others for at least as long as it had it.
func (u *uses) flush(ctx context.Context) error {
	return u.keepAll(ctx, func(took time.Duration) error { return store.Rest(ctx, max(took, usesPause)) })
}

// flushAtOnce is flush where there are no others any more.
func (u *uses) flushAtOnce(ctx context.Context) error {
	return u.keepAll(ctx, func(time.Duration) error { return nil })
}

// keepAll keeps what is waiting, and then what was noted since. It rests between transactions.
func (u *uses) keepAll(ctx context.Context, rest func(took time.Duration) error) error {
	if err := u.keepWaiting(ctx, rest); err != nil {
		return err
	}
	u.waiting = u.take()
	return u.keepWaiting(ctx, rest)
}

func (u *uses) keepWaiting(ctx context.Context, rest func(took time.Duration) error) error {
	for len(u.waiting) > 0 {
		part, began := u.waiting[:min(len(u.waiting), maxUsesKept)], time.Now()
		if err := u.keep(ctx, part); err != nil {
			return err
		}
		if u.waiting = u.waiting[len(part):]; len(u.waiting) > 0 {
			if err := rest(time.Since(began)); err != nil {
				return err
			}
		}
	}
	return nil
}
