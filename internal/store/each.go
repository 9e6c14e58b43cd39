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
	after := ""
	return eachPageOf(ctx, 0, visit, func() ([]T, error) {
		page, err := table.List(ctx, after, eachPage)
		if len(page) > 0 {
			after = page[len(page)-1].Key()
		}
		return page, err
	})
}

// EachDue calls visit for every client that is due by a time, until it returns an error: with the zero time, for those that are due
// at any. It is Each for who has to know only of these, which are few, mostly, among very many.
func EachDue(ctx context.Context, s Store, by time.Time, visit func(Client) error) error {
	return eachDue(ctx, s, by, 0, visit)
}

// EachDueAtEase is EachDue for background work over what may be many: it leaves nearly all of the processor, and of the database, to
// others. It must not be used within an Update, which would make all who write wait.
func EachDueAtEase(ctx context.Context, s Store, by time.Time, visit func(Client) error) error {
	return eachDue(ctx, s, by, ease, visit)
}

func eachDue(ctx context.Context, s Store, by time.Time, rest time.Duration, visit func(Client) error) error {
	after := DuePosition{}
	return eachPageOf(ctx, rest, visit, func() (page []Client, err error) {
		page, after, err = s.ClientsDue(ctx, by, after, eachPage)
		return page, err
	})
}

// eachPageOf visits the records of all pages. Only the last has fewer than eachPage.
func eachPageOf[T any](ctx context.Context, rest time.Duration, visit func(T) error, next func() ([]T, error)) error {
	for {
		page, err := next()
		if err != nil {
			return err
		}
		for _, record := range page {
			if err := visit(record); err != nil {
				return err
			}
		}
		if len(page) < eachPage {
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
