package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/writ-auth/writ/internal/store"
)

// table is the store.Table of one kind of record.
type table[T store.Record] struct {
	view   view
	schema *schema[T]
}

func (t table[T]) Get(ctx context.Context, key string) (record T, err error) {
	if !store.Valid(key) {
		return record, store.ErrNotFound // no record has such a key, and PostgreSQL would not take the question
	}
	records, err := t.read(ctx, t.schema.statements.get, key)
	if err != nil {
		return record, t.failed("get", err)
	}
	if len(records) == 0 {
		return record, store.ErrNotFound
	}
	return records[0], nil
}

func (t table[T]) List(ctx context.Context, after string, limit int) ([]T, error) {
	if !store.Valid(after) {
		return nil, store.ErrInvalid
	}
	records, err := t.read(ctx, t.schema.statements.list, after, max(limit, 0))
	if err != nil {
		return nil, t.failed("list", err)
	}
	return records, nil
}

func (t table[T]) Insert(ctx context.Context, record T) error {
	args, err := t.args(record)
	if err != nil {
		return err
	}
	return t.write(ctx, "insert", func(tx view) error {
		inserted, err := tx.exec(ctx, t.schema.statements.insert, args...)
		if err == nil && inserted == 0 {
			return store.ErrExists
		}
		return err
	})
}

func (t table[T]) Put(ctx context.Context, record T) error {
	args, err := t.args(record)
	if err != nil {
		return err
	}
	args = append(args[1:], args[0])
	return t.write(ctx, "put", func(tx view) error {
		updated, err := tx.exec(ctx, t.schema.statements.put, args...)
		if err != nil || updated > 0 {
			return err
		}
		var found int64
		err = tx.query(ctx, t.schema.statements.exists, []any{record.Key()}, func(scan func(...any) error) error {
			return scan(number{&found})
		})
		switch {
		case err != nil:
			return err
		case found > 0:
			return store.ErrExists // another unique value is taken
		default:
			return store.ErrNotFound
		}
	})
}

func (t table[T]) Delete(ctx context.Context, key string) error {
	if !store.Valid(key) {
		return store.ErrNotFound
	}
	return t.write(ctx, "delete", func(tx view) error {
		deleted, err := tx.exec(ctx, t.schema.statements.delete, key)
		if err != nil || deleted > 0 {
			return err
		}
		return store.ErrNotFound
	})
}

func (t table[T]) read(ctx context.Context, text sqlText, args ...any) (records []T, err error) {
	err = t.view.query(ctx, text, args, func(scan func(...any) error) error {
		var record T
		if err := scan(t.schema.targets(&record)...); err != nil {
			return err
		}
		records = append(records, record)
		return nil
	})
	return records, err
}

// write runs a write to the table: counted ones in a transaction, together with the generation; others are one statement.
func (t table[T]) write(ctx context.Context, what string, f func(view) error) error {
	if !t.schema.counted {
		return t.failed(what, f(t.view))
	}
	return t.failed(what, t.view.change(ctx, func(tx view) error {
		if err := f(tx); err != nil {
			return err
		}
		return tx.count(ctx)
	}))
}

// count makes the generation grow, once in a transaction, and has those told who watch.
func (v view) count(ctx context.Context) error {
	if v.tx.counted {
		return nil
	}
	if _, err := v.exec(ctx, growCounter, "generation"); err != nil {
		return err
	}
	if notify := v.store.database.notify; notify != "" { // sent with the commit
		if _, err := v.exec(ctx, notify); err != nil {
			return err
		}
	}
	v.tx.counted = true
	return nil
}

// args returns the values of the record's columns.
func (t table[T]) args(record T) ([]any, error) {
	if err := store.Check(record); err != nil {
		return nil, err
	}
	fields := t.schema.fields(&record)
	args := make([]any, len(fields))
	for i, f := range fields {
		value, err := f.Value()
		if err != nil {
			return nil, t.failed("write", err)
		}
		args[i] = value
	}
	return args, nil
}

// failed says what was being done, unless the answer is one that callers expect as it is.
func (t table[T]) failed(what string, err error) error {
	if err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) {
		return err
	}
	return fmt.Errorf("sqlstore: %s: %s: %w", t.schema.name, what, err)
}
