package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/writ-auth/writ/internal/store"
)

// A view is the store as seen from outside, or from within the Update that owns tx.
type view struct {
	store *Store
	tx    *transaction
}

func (v view) Clients() store.Table[store.Client]     { return table[store.Client]{v, &clients} }
func (v view) Resources() store.Table[store.Resource] { return table[store.Resource]{v, &resources} }
func (v view) Roles() store.Table[store.Role]         { return table[store.Role]{v, &roles} }
func (v view) Keys() store.Table[store.SigningKey]    { return table[store.SigningKey]{v, &signingKeys} }
func (v view) Revocations() store.Table[store.Revocation] {
	return table[store.Revocation]{v, &revocations}
}

func (v view) Checkpoints() store.Table[store.Checkpoint] {
	return table[store.Checkpoint]{v, &checkpoints}
}

func (v view) InitialTokens() store.Table[store.InitialToken] {
	return table[store.InitialToken]{v, &initialTokens}
}

func (v view) Append(ctx context.Context, event store.Event) error {
	if !store.Valid(event) {
		return store.ErrInvalid
	}
	err := v.change(ctx, func(tx view) error {
		if _, err := tx.exec(ctx, growCounter, "event"); err != nil {
			return err
		}
		sequence, err := tx.counter(ctx, "event")
		if err != nil {
			return err
		}
		chain, err := tx.history(ctx)
		if err != nil {
			return err
		}
		e := chain.Link(event, sequence)
		_, err = tx.exec(ctx, appendEvent, e.Sequence, microseconds(e.Time), e.Actor, e.Action, e.Object, e.Detail, e.Hash)
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlstore: append an event: %w", err)
	}
	return nil
}

// history returns the chain at the last event. Behind events that have no hash it is computed from them, once: the event
// that comes next has one.
func (v view) history(ctx context.Context) (last store.Chain, err error) {
	err = v.query(ctx, readLastEvent, nil, func(scan func(...any) error) error {
		return scan(number{&last.Sequence}, text{&last.Hash})
	})
	if err != nil || last.Sequence == 0 || last.Hash != "" {
		return last, err
	}
	return store.Chain{}.Follow(ctx, v, func(store.Event, store.Chain, error) error { return nil })
}

func (v view) Events(ctx context.Context, after int64, limit int) (events []store.Event, err error) {
	err = v.query(ctx, readEvents, []any{after, max(limit, 0)}, func(scan func(...any) error) error {
		var e store.Event
		err := scan(number{&e.Sequence}, instant{&e.Time}, text{&e.Actor}, text{&e.Action}, text{&e.Object}, text{&e.Detail}, text{&e.Hash})
		events = append(events, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sqlstore: events: %w", err)
	}
	return events, nil
}

func (v view) Generation(ctx context.Context) (int64, error) {
	generation, err := v.counter(ctx, "generation")
	if err != nil {
		return 0, fmt.Errorf("sqlstore: generation: %w", err)
	}
	return generation, nil
}

func (v view) counter(ctx context.Context, name string) (value int64, err error) {
	err = v.query(ctx, readCounter, []any{name}, func(scan func(...any) error) error { return scan(number{&value}) })
	return value, err
}

// Ping reads a row, which a connection to a database without our tables, or to one that only pretends, would not survive.
func (v view) Ping(ctx context.Context) error {
	_, err := v.Generation(ctx)
	return err
}

// Close on the Store of an Update does nothing; the outer one has its own.
func (v view) Close() error { return nil }

// exec runs a statement that writes and returns how many rows it touched.
func (v view) exec(ctx context.Context, text sqlText, args ...any) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	statement, err := v.store.database.writes.statement(ctx, v.tx.sql(), text)
	if err != nil {
		return 0, err
	}
	result, err := statement.ExecContext(ctx, args...)
	if err != nil {
		return 0, v.failed(ctx, err)
	}
	return result.RowsAffected()
}

// query runs a statement that reads and calls each for every row, with a function that scans it.
func (v view) query(ctx context.Context, text sqlText, args []any, each func(scan func(...any) error) error) error {
	if v.tx != nil {
		return v.queryFrom(ctx, v.store.database.writes, text, args, each)
	}
	return v.queryFrom(ctx, v.store.database.reads, text, args, each)
}

// queryFrom is query on the connections of a pool; on those that write, the statement may write, too.
func (v view) queryFrom(ctx context.Context, from *pool, text sqlText, args []any, each func(scan func(...any) error) error) error {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	statement, err := from.statement(ctx, v.tx.sql(), text)
	if err != nil {
		return err
	}
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return v.failed(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return v.failed(ctx, err)
		}
	}
	if err := rows.Err(); err != nil {
		return v.failed(ctx, err)
	}
	return v.closed(ctx, rows)
}

// closed closes the rows: SQLite tells some errors only then.
func (v view) closed(ctx context.Context, rows *sql.Rows) error {
	if err := rows.Close(); err != nil {
		return v.failed(ctx, err)
	}
	return nil
}

// failed describes an error of a statement, and notes if it asks for the transaction to be tried again.
func (v view) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // what the driver says about it is noise
	}
	described := describe(err)
	if v.tx != nil && retryable(err) {
		v.tx.conflict = described
	}
	return described
}
