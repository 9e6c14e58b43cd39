package store

import (
	"context"
	"time"
)

// eachPage is how many records are read at once.
const eachPage = 500

// ease is how long work that nobody waits for rests between two pages: a page takes some milliseconds of a processor, and requests
// have the rest. A million clients take it a quarter of an hour.
const ease = 400 * time.Millisecond

// Each calls visit for every record of a table, in the order of their keys, until it returns an error. Other writers may come
// between two pages: within an Update they cannot.
func Each[T Record](ctx context.Context, table Table[T], visit func(T) error) error {
	return each(ctx, table, 0, visit)
}

// EachAtEase is Each for background work over many records: it leaves nearly all of the processor, and of the database, to others.
// It must not be used within an Update, which would make all who write wait.
func EachAtEase[T Record](ctx context.Context, table Table[T], visit func(T) error) error {
	return each(ctx, table, ease, visit)
}

func each[T Record](ctx context.Context, table Table[T], rest time.Duration, visit func(T) error) error {
	for after := ""; ; {
		records, err := table.List(ctx, after, eachPage)
		if err != nil {
			return err
		}
		for _, record := range records {
			if err := visit(record); err != nil {
				return err
			}
			after = record.Key()
		}
		if len(records) < eachPage {
			return nil
		}
		if rest > 0 {
			if err := Rest(ctx, rest); err != nil {
				return err
			}
		}
	}
}

// Rest waits for a time, or until ctx ends, and returns its error then.
func Rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
