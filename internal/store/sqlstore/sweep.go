package sqlstore

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// A sweep works in steps, one statement each: who writes on SQLite waits for the one that is running. How long one takes depends
// on what else the processor and the disk have to do: so the first is small, the next ones as large as they may be, and after each
// the sweep rests for about as long as it took (SECURITY, drill R31).
const (
	sweepMost  = 500 // rows of a step
	sweepLeast = 50  // each step waits for the disk once, however few they are
	sweepTakes = 10 * time.Millisecond
)

// sweepSeen is how many uses one Sweep looks at. No index says which are old, or whose client is gone, and a million clients have
// two million: at a Sweep a minute they are gone through in some hours, and few at each.
const sweepSeen = 10_000

// Sweep deletes what has expired, see store.Store.
func (v view) Sweep(ctx context.Context, now time.Time) (swept int, err error) {
	for _, statement := range []sqlText{sweepRevocations, sweepUsed} {
		n, err := v.sweep(ctx, statement, microseconds(now))
		swept += n
		if err != nil {
			return swept, err
		}
	}
	return swept, v.sweepUses(ctx, now.Add(-store.KeepUses))
}

// sweep runs a statement that deletes, whose last argument is how many rows at most, until there is nothing left.
func (v view) sweep(ctx context.Context, statement sqlText, args ...any) (swept int, err error) {
	err = v.sweepInSteps(ctx, func(rows int) (more bool, err error) {
		n, err := v.exec(ctx, statement, append(args, rows)...)
		swept += int(n)
		return int(n) == rows, err
	})
	return swept, err
}

// sweepInSteps runs step with how many rows it may have, until there are no more.
func (v view) sweepInSteps(ctx context.Context, step func(rows int) (more bool, err error)) error {
	for rows := sweepLeast; ; {
		began := time.Now()
		more, err := step(rows)
		if err == nil && !more {
			return nil
		}
		took := time.Since(began)
		if err == nil && v.tx == nil {
			err = pause(ctx, max(took, time.Millisecond))
		}
		if err != nil {
			return fmt.Errorf("sqlstore: sweep: %w", err)
		}
		rows = sweepNext(rows, took)
	}
}

// sweepNext returns how many rows the step has that follows one of so many which took so long: down at once, and up by a half.
func sweepNext(rows int, took time.Duration) int {
	fits := sweepMost
	if took > 0 {
		fits = int(min(sweepMost, int64(rows)*int64(sweepTakes)/int64(took)))
	}
	return max(sweepLeast, min(fits, rows+rows/2))
}

// A walk goes through the uses in the order of their key, one part at each Sweep, and begins anew at the end. What is written behind
// it, and what an Update took back, it meets the next time round.
type walk struct {
	at   atomic.Pointer[usedBy] // the last that was looked at; nil at the beginning. Of Sweeps at once each goes on from the others.
	most int                    // looked at by one Sweep
}

// usedBy is the key of a use.
type usedBy struct{ clientID, credential string }

// sweepUses deletes the uses from before a time, and those of clients that are gone, in the part of the table that comes next.
func (v view) sweepUses(ctx context.Context, before time.Time) error {
	left := v.store.walk.most
	return v.sweepInSteps(ctx, func(rows int) (more bool, err error) {
		rows = min(rows, left)
		n, err := v.sweepUsesStep(ctx, before, rows)
		left -= n
		return n == rows && left > 0, err
	})
}

// sweepUsesStep goes so many uses further, and returns how many there were.
func (v view) sweepUsesStep(ctx context.Context, before time.Time, rows int) (n int, err error) {
	walk, from, to := &v.store.walk, usedBy{}, usedBy{}
	if at := walk.at.Load(); at != nil {
		from = *at
	}
	var found int64
	err = v.query(ctx, readUsesStep, []any{from.clientID, from.credential, rows}, func(scan func(...any) error) error {
		return scan(text{&to.clientID}, text{&to.credential}, number{&found})
	})
	if err == nil && found > 0 {
		_, err = v.exec(ctx, sweepUses, from.clientID, from.credential, to.clientID, to.credential, microseconds(before))
	}
	if err != nil {
		return 0, err
	}
	if int(found) < rows {
		walk.at.Store(nil)
	} else {
		walk.at.Store(&to)
	}
	return int(found), nil
}
