package endpoint_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// A watchedStore is a real store that writes down what it is asked, and that can be taken away.
type watchedStore struct {
	store.Store

	mu       sync.Mutex
	calls    []string // such as "clients.get c-basic", in order
	down     bool     // every call fails
	readOnly bool     // every call that writes fails
	hangs    bool     // every call waits for its context to end
}

var errAway = errors.New("the database is away")

// asked notes a call, and returns what stands in its way.
func (w *watchedStore) asked(ctx context.Context, call string, writes bool) error {
	w.mu.Lock()
	w.calls = append(w.calls, call)
	down, hangs := w.down || w.readOnly && writes, w.hangs
	w.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	if down {
		return errAway
	}
	return nil
}

// since returns the calls since the last time.
func (w *watchedStore) since() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls := w.calls
	w.calls = nil
	return calls
}

func (w *watchedStore) set(change func(*watchedStore)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

func (w *watchedStore) Clients() store.Table[store.Client] {
	return watchedTable[store.Client]{w.Store.Clients(), w, "clients"}
}

func (w *watchedStore) Resources() store.Table[store.Resource] {
	return watchedTable[store.Resource]{w.Store.Resources(), w, "resources"}
}

func (w *watchedStore) Roles() store.Table[store.Role] {
	return watchedTable[store.Role]{w.Store.Roles(), w, "roles"}
}

func (w *watchedStore) Revocations() store.Table[store.Revocation] {
	return watchedTable[store.Revocation]{w.Store.Revocations(), w, "revocations"}
}

func (w *watchedStore) Generation(ctx context.Context) (int64, error) {
	if err := w.asked(ctx, "generation", false); err != nil {
		return 0, err
	}
	return w.Store.Generation(ctx)
}

// UseOnce is noted by the kind of the ID, which is different each time.
func (w *watchedStore) UseOnce(ctx context.Context, id string, expires time.Time) error {
	kind, _, _ := strings.Cut(id, ":")
	if err := w.asked(ctx, "use "+kind, true); err != nil {
		return err
	}
	return w.Store.UseOnce(ctx, id, expires)
}

type watchedTable[T store.Record] struct {
	store.Table[T]
	watched *watchedStore
	name    string
}

func (t watchedTable[T]) Get(ctx context.Context, key string) (T, error) {
	if err := t.watched.asked(ctx, t.name+".get "+key, false); err != nil {
		var none T
		return none, err
	}
	return t.Table.Get(ctx, key)
}

func (t watchedTable[T]) List(ctx context.Context, after string, limit int) ([]T, error) {
	if err := t.watched.asked(ctx, t.name+".list", false); err != nil {
		return nil, err
	}
	return t.Table.List(ctx, after, limit)
}

func (t watchedTable[T]) Insert(ctx context.Context, record T) error {
	if err := t.watched.asked(ctx, t.name+".insert", true); err != nil {
		return err
	}
	return t.Table.Insert(ctx, record)
}

func (t watchedTable[T]) Put(ctx context.Context, record T) error {
	if err := t.watched.asked(ctx, t.name+".put", true); err != nil {
		return err
	}
	return t.Table.Put(ctx, record)
}
