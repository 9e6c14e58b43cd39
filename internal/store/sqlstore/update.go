package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// maxRetries bounds how often an Update is tried again after a conflict.
const maxRetries = 3

// A transaction is one attempt at an Update.
type transaction struct {
	tx       *sql.Tx
	counted  bool  // the generation has grown
	conflict error // a statement met one: the attempt is void, whatever the change made of the error
}

func (t *transaction) sql() *sql.Tx {
	if t == nil {
		return nil
	}
	return t.tx
}

func (v view) Update(ctx context.Context, change func(store.Store) error) error {
	return v.change(ctx, func(tx view) error { return change(tx) })
}

// change runs f in the transaction at hand or in one of its own.
func (v view) change(ctx context.Context, f func(tx view) error) error {
	if v.tx != nil {
		return f(v)
	}
	return v.store.update(ctx, f)
}

func (s *Store) update(ctx context.Context, change func(view) error) error {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.writer:
	case <-ctx.Done():
		return fmt.Errorf("sqlstore: update: wait for other updates: %w", ctx.Err())
	}
	defer func() { s.writer <- struct{}{} }() // deferred: change may panic

	for retry := 0; ; retry++ {
		again, err := s.attempt(ctx, change)
		if !again || retry == maxRetries {
			return err
		}
		if err := pause(ctx, time.Duration(retry+1)*20*time.Millisecond); err != nil {
			return fmt.Errorf("sqlstore: update: %w", err)
		}
	}
}

// pause waits for half to one and a half times d, so that those who met do not meet again.
func pause(ctx context.Context, d time.Duration) error {
	return store.Rest(ctx, d/2+rand.N(d))
}

// attempt runs change in one transaction. again says that it had no effect and that another attempt may succeed.
func (s *Store) attempt(ctx context.Context, change func(view) error) (again bool, err error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return false, fmt.Errorf("sqlstore: update: begin: %w", err)
	}
	defer func() { _ = tx.tx.Rollback() }() // does nothing after Commit; an error here changes nothing either

	err = change(view{store: s, tx: tx})
	if tx.conflict != nil {
		return true, fmt.Errorf("sqlstore: update: %w", tx.conflict)
	}
	if err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if err := tx.tx.Commit(); err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		return retryable(err), fmt.Errorf("sqlstore: update: commit: %w", describe(err))
	}
	if tx.counted {
		s.bell.Ring()
	}
	return false, nil
}

// begin begins a transaction that writes. All of them, on all nodes, take turns, so that they seldom conflict: SQLite's
// by BEGIN IMMEDIATE, PostgreSQL's by a lock taken before the transaction's view of the data is made.
func (s *Store) begin(ctx context.Context) (*transaction, error) {
	db := s.database
	tx, err := db.writes.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, describe(err)
	}
	t := &transaction{tx: tx}
	if db.takeTurn != "" {
		if _, err := (view{s, t}).exec(ctx, db.takeTurn); err != nil {
			_ = tx.Rollback()
			return nil, err
		}
	}
	return t, nil
}
