package memstore

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// table is the store.Table of one kind of record.
type table[T store.Record] struct {
	view    view
	counted bool // whether writes make the generation grow
	rows    func(*layer) *rows[T]
	unique  func(T) string             // a second value that must be unique, or nil
	index   func(*layer) *rows[string] // the key by that value
}

func (t table[T]) Get(ctx context.Context, key string) (record T, err error) {
	err = t.view.read(ctx, func(l *layer) error {
		kept, found := t.rows(l).get(key)
		if !found {
			return store.ErrNotFound
		}
		record = copyOf(kept)
		return nil
	})
	return record, err
}

func (t table[T]) List(ctx context.Context, after string, limit int) (records []T, err error) {
	if !store.Valid(after) {
		return nil, store.ErrInvalid
	}
	err = t.view.read(ctx, func(l *layer) error {
		rows := t.rows(l)
		keys := slices.DeleteFunc(rows.keys(), func(key string) bool { return key <= after })
		slices.Sort(keys)
		for _, key := range keys[:min(len(keys), max(limit, 0))] {
			record, _ := rows.get(key)
			records = append(records, copyOf(record))
		}
		return nil
	})
	return records, err
}

func (t table[T]) Insert(ctx context.Context, record T) error {
	return t.set(ctx, record, false)
}

func (t table[T]) Put(ctx context.Context, record T) error {
	return t.set(ctx, record, true)
}

func (t table[T]) set(ctx context.Context, record T, replace bool) error {
	if err := store.Check(record); err != nil {
		return err
	}
	return t.view.write(ctx, func(l *layer) error {
		old, found := t.rows(l).get(record.Key())
		switch {
		case replace && !found:
			return store.ErrNotFound
		case !replace && found, t.taken(l, record):
			return store.ErrExists
		}
		if found {
			t.remove(l, old)
		}
		t.rows(l).put(record.Key(), copyOf(record))
		if t.unique != nil {
			t.index(l).put(t.unique(record), record.Key())
		}
		t.count(l)
		return nil
	})
}

func (t table[T]) Delete(ctx context.Context, key string) error {
	return t.view.write(ctx, func(l *layer) error {
		old, found := t.rows(l).get(key)
		if !found {
			return store.ErrNotFound
		}
		t.remove(l, old)
		t.count(l)
		return nil
	})
}

func (t table[T]) remove(l *layer, record T) {
	t.rows(l).delete(record.Key())
	if t.unique != nil {
		t.index(l).delete(t.unique(record))
	}
}

// taken reports whether another record has the record's unique value.
func (t table[T]) taken(l *layer, record T) bool {
	if t.unique == nil {
		return false
	}
	key, found := t.index(l).get(t.unique(record))
	return found && key != record.Key()
}

func (t table[T]) count(l *layer) {
	if t.counted {
		l.generation++
	}
}

// copyOf returns a copy that shares no memory with the record, with the times and empty lists that a database would give
// back. By reflection, so that a new kind of record needs nothing here.
func copyOf[T any](record T) T {
	return deepCopy(reflect.ValueOf(record)).Interface().(T)
}

func deepCopy(v reflect.Value) reflect.Value {
	if t, ok := v.Interface().(time.Time); ok {
		return reflect.ValueOf(normal(t))
	}
	switch v.Kind() {
	case reflect.Struct:
		c := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			c.Field(i).Set(deepCopy(v.Field(i)))
		}
		return c
	case reflect.Slice:
		if v.Len() == 0 {
			return reflect.Zero(v.Type())
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			c.Index(i).Set(deepCopy(v.Index(i)))
		}
		return c
	}
	return v
}

// normal returns t as the databases keep it: microseconds since 1970, 0 for the zero time.
func normal(t time.Time) time.Time {
	if t.IsZero() || t.UnixMicro() == 0 {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}
