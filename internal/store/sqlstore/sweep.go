package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// A sweep deletes in steps, one statement each: who writes on SQLite waits for the one that is running. How long one takes depends
// on what else the processor and the disk have to do: so the first is small, the next ones as large as they may be, and after each
// the sweep rests for about as long as it took (SECURITY, drill R31).
const (
	sweepMost  = 500 // rows of a step
	sweepLeast = 50  // each step waits for the disk once, however few they are
	sweepTakes = 10 * time.Millisecond
)

// Sweep deletes what has expired, see store.Store.
func (v view) Sweep(ctx context.Context, now time.Time) (swept int, err error) {
	for _, statement := range []sqlText{sweepRevocations, sweepUsed} {
		n, err := v.sweep(ctx, statement, microseconds(now))
		swept += n
		if err != nil {
			return swept, err
		}
	}
	if _, err := v.sweep(ctx, sweepOldUses, microseconds(now.Add(-store.KeepUses))); err != nil {
		return swept, err
	}
	_, err = v.sweep(ctx, sweepUses)
	return swept, err
}

// sweep runs a statement that deletes, whose last argument is how many rows at most, until there is nothing left.
func (v view) sweep(ctx context.Context, statement sqlText, args ...any) (swept int, err error) {
	for rows := sweepLeast; ; {
		began := time.Now()
		n, err := v.exec(ctx, statement, append(args, rows)...)
		swept += int(n)
		if err == nil && int(n) < rows {
			return swept, nil
		}
		took := time.Since(began)
		if err == nil && v.tx == nil {
			err = pause(ctx, max(took, time.Millisecond))
		}
		if err != nil {
			return swept, fmt.Errorf("sqlstore: sweep: %w", err)
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
