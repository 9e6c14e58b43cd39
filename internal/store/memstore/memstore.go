// Package memstore remembers in memory, for tests, authtest and `writ dev`: the whole contract of store.Store but
// durability. It is not for a server that must survive a restart.
package memstore

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

var errClosed = errors.New("memstore: closed")

// A Store is a store.Store in memory, safe for concurrent use. Make one with New.
//
// As on a database, a reader meanwhile sees nothing of an Update until it is done, and a writer waits for it.
type Store struct {
	view
	// Now says which used IDs have passed. Set it before the first use, or leave it: time.Now.
	Now func() time.Time

	writer chan struct{} // holds one token: who took it may write
	mu     sync.RWMutex
	data   *layer // what it points to changes under mu, by the owner of the token
	closed bool   // under mu
	bell   store.Bell
}

var _ store.Store = (*Store)(nil)

// New returns an empty Store.
func New() *Store {
	s := &Store{Now: time.Now, writer: make(chan struct{}, 1), data: newLayer(nil)}
	s.view = view{store: s}
	s.writer <- struct{}{}
	return s
}

// Close makes every later call fail.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// update runs change on a layer above the data and, if it succeeds, merges the layer: all of it or nothing.
func (s *Store) update(ctx context.Context, change func(*layer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.writer:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.writer <- struct{}{} }() // deferred: change may panic

	tx := newLayer(s.data)
	if err := change(tx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return err // as a commit would
	}
	grew := tx.generation > s.data.generation
	tx.merge()
	if grew {
		s.bell.Ring()
	}
	return nil
}

// A view is the store as seen from outside, or from within the Update that owns tx.
type view struct {
	store *Store
	tx    *layer
}

func (v view) read(ctx context.Context, look func(*layer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v.store.mu.RLock()
	defer v.store.mu.RUnlock()
	if v.store.closed {
		return errClosed
	}
	if v.tx != nil {
		return look(v.tx)
	}
	return look(v.store.data)
}

func (v view) write(ctx context.Context, change func(*layer) error) error {
	if v.tx == nil {
		return v.store.update(ctx, change)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return change(v.tx)
}

func (v view) Clients() store.Table[store.Client] {
	return table[store.Client]{
		view: v, counted: true,
		rows:   func(l *layer) *rows[store.Client] { return &l.clients },
		unique: func(c store.Client) string { return c.Name },
		index:  func(l *layer) *rows[string] { return &l.clientNames },
	}
}

func (v view) FindClients(ctx context.Context, query store.ClientQuery) (found []store.Client, err error) {
	if !store.Valid(query) {
		return nil, store.ErrInvalid
	}
	err = v.read(ctx, func(l *layer) error {
		ids := l.clients.keys()
		if query.Name != "" {
			id, _ := l.clientNames.get(query.Name)
			ids = []string{id}
		}
		for _, id := range ids {
			if client, is := l.clients.get(id); is && query.Matches(client) {
				found = append(found, client)
			}
		}
		slices.SortFunc(found, func(a, b store.Client) int { return query.Compare(query.Position(a), query.Position(b)) })
		found = slices.Clip(found[:min(len(found), max(query.Limit, 0))])
		for i := range found {
			found[i] = copyOf(found[i])
		}
		return nil
	})
	return found, err
}

func (v view) ClientsDue(ctx context.Context, by time.Time, after store.DuePosition, limit int) (due []store.Client, last store.DuePosition, err error) {
	if !store.Valid(after.ID) {
		return nil, after, store.ErrInvalid
	}
	compare := func(a, b store.DuePosition) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) }
	position := func(c store.Client) store.DuePosition {
		at, _ := c.Due()
		return store.DuePosition{At: normal(at), ID: c.ID}
	}
	last = after
	err = v.read(ctx, func(l *layer) error {
		for _, id := range l.clients.keys() {
			client, _ := l.clients.get(id)
			if at, ever := client.Due(); ever && !at.After(by) && compare(position(client), after) > 0 {
				due = append(due, client)
			}
		}
		slices.SortFunc(due, func(a, b store.Client) int { return compare(position(a), position(b)) })
		due = slices.Clip(due[:min(len(due), max(limit, 0))])
		for i := range due {
			last, due[i] = position(due[i]), copyOf(due[i])
		}
		return nil
	})
	return due, last, err
}

func (v view) ClientsCalled(ctx context.Context, words ...string) (found []store.Client, err error) {
	err = v.read(ctx, func(l *layer) error {
		ids := slices.Clone(words)
		for _, word := range words {
			if id, named := l.clientNames.get(word); named {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			if client, is := l.clients.get(id); is {
				found = append(found, copyOf(client))
			}
		}
		return nil
	})
	return found, err
}

func (v view) Resources() store.Table[store.Resource] {
	return table[store.Resource]{view: v, counted: true, rows: func(l *layer) *rows[store.Resource] { return &l.resources }}
}

func (v view) Roles() store.Table[store.Role] {
	return table[store.Role]{view: v, counted: true, rows: func(l *layer) *rows[store.Role] { return &l.roles }}
}

func (v view) Keys() store.Table[store.SigningKey] {
	return table[store.SigningKey]{view: v, counted: true, rows: func(l *layer) *rows[store.SigningKey] { return &l.keys }}
}

func (v view) Revocations() store.Table[store.Revocation] {
	return table[store.Revocation]{view: v, rows: func(l *layer) *rows[store.Revocation] { return &l.revocations }}
}

func (v view) InitialTokens() store.Table[store.InitialToken] {
	return table[store.InitialToken]{view: v, rows: func(l *layer) *rows[store.InitialToken] { return &l.initial }}
}

func (v view) Checkpoints() store.Table[store.Checkpoint] {
	return table[store.Checkpoint]{view: v, rows: func(l *layer) *rows[store.Checkpoint] { return &l.checkpoints }}
}

func (v view) UseOnce(ctx context.Context, id string, expires time.Time) error {
	if id == "" || !store.Valid(id) {
		return store.ErrInvalid
	}
	return v.write(ctx, func(l *layer) error {
		if until, used := l.used.get(id); used && (until.IsZero() || !until.Before(v.store.Now())) {
			return store.ErrExists
		}
		l.used.put(id, normal(expires))
		return nil
	})
}

func (v view) NoteUses(ctx context.Context, uses []store.Use) error {
	return v.write(ctx, func(l *layer) error {
		for _, use := range uses {
			if use.ClientID == "" || use.Credential == "" || !store.Valid(use) {
				return store.ErrInvalid
			}
			of, _ := l.uses.get(use.ClientID)
			if known, found := of[use.Credential]; found && !known.Last.Before(normal(use.Last)) {
				continue
			}
			of = maps.Clone(of) // the old one may be read
			if of == nil {
				of = map[string]store.Use{}
			}
			of[use.Credential] = copyOf(use)
			l.uses.put(use.ClientID, of)
		}
		return nil
	})
}

func (v view) Uses(ctx context.Context, clientIDs ...string) (uses []store.Use, err error) {
	err = v.read(ctx, func(l *layer) error {
		for _, id := range slices.Compact(slices.Sorted(slices.Values(clientIDs))) {
			of, _ := l.uses.get(id)
			for _, credential := range slices.Sorted(maps.Keys(of)) {
				uses = append(uses, of[credential])
			}
		}
		return nil
	})
	return uses, err
}

func (v view) Append(ctx context.Context, event store.Event) error {
	if !store.Valid(event) {
		return store.ErrInvalid
	}
	return v.write(ctx, func(l *layer) error {
		l.appendEvent(copyOf(event))
		return nil
	})
}

func (v view) Events(ctx context.Context, after int64, limit int) (events []store.Event, err error) {
	err = v.read(ctx, func(l *layer) error {
		events = l.eventsAfter(after, limit)
		return nil
	})
	return events, err
}

func (v view) Update(ctx context.Context, change func(store.Store) error) error {
	return v.write(ctx, func(l *layer) error {
		return change(view{v.store, l})
	})
}

func (v view) Generation(ctx context.Context) (generation int64, err error) {
	err = v.read(ctx, func(l *layer) error {
		generation = l.generation
		return nil
	})
	return generation, err
}

func (v view) Watch(ctx context.Context, changed func()) error {
	return v.store.bell.Watch(ctx, changed)
}

func (v view) Sweep(ctx context.Context, now time.Time) (swept int, err error) {
	expired := func(t time.Time) bool { return !t.IsZero() && t.Before(now) }
	err = v.write(ctx, func(l *layer) error {
		swept = l.revocations.deleteFunc(func(r store.Revocation) bool { return expired(r.Expires) }) +
			l.used.deleteFunc(expired)
		l.sweepUses(now.Add(-store.KeepUses))
		return nil
	})
	return swept, err
}

func (v view) Ping(ctx context.Context) error {
	return v.read(ctx, func(*layer) error { return nil })
}

// Close on the Store of an Update does nothing; the outer one has its own.
func (v view) Close() error { return nil }
