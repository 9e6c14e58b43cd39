package memstore

import (
	"maps"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// A layer holds the data itself, or what a transaction changed above its base: a transaction costs what it touches.
type layer struct {
	base        *layer
	clients     rows[store.Client]
	clientNames rows[string] // to IDs
	resources   rows[store.Resource]
	roles       rows[store.Role]
	keys        rows[store.SigningKey]
	revocations rows[store.Revocation]
	checkpoints rows[store.Checkpoint]
	initial     rows[store.InitialToken]
	used        rows[time.Time]
	uses        rows[map[string]store.Use] // of a client, by credential
	events      []store.Event              // never deleted: the n-th of all layers has Sequence n
	generation  int64
	history     store.Chain // at the last event
}

func newLayer(base *layer) *layer {
	if base == nil {
		return &layer{}
	}
	return &layer{
		base:        base,
		clients:     rows[store.Client]{base: &base.clients},
		clientNames: rows[string]{base: &base.clientNames},
		resources:   rows[store.Resource]{base: &base.resources},
		roles:       rows[store.Role]{base: &base.roles},
		keys:        rows[store.SigningKey]{base: &base.keys},
		revocations: rows[store.Revocation]{base: &base.revocations},
		checkpoints: rows[store.Checkpoint]{base: &base.checkpoints},
		initial:     rows[store.InitialToken]{base: &base.initial},
		used:        rows[time.Time]{base: &base.used},
		uses:        rows[map[string]store.Use]{base: &base.uses},
		generation:  base.generation,
		history:     base.history,
	}
}

// merge moves the changes into the base.
func (l *layer) merge() {
	l.clients.merge()
	l.clientNames.merge()
	l.resources.merge()
	l.roles.merge()
	l.keys.merge()
	l.revocations.merge()
	l.checkpoints.merge()
	l.initial.merge()
	l.used.merge()
	l.uses.merge()
	l.base.events = append(l.base.events, l.events...)
	l.base.generation, l.base.history = l.generation, l.history
}

// sweepUses deletes the uses of clients that are gone, and those from before a time.
func (l *layer) sweepUses(before time.Time) {
	for _, id := range l.uses.keys() {
		of, _ := l.uses.get(id)
		of = maps.Clone(of) // the old one may be read
		maps.DeleteFunc(of, func(_ string, use store.Use) bool { return use.Last.Before(before) })
		if _, found := l.clients.get(id); !found || len(of) == 0 {
			l.uses.delete(id)
		} else {
			l.uses.put(id, of)
		}
	}
}

func (l *layer) appendEvent(event store.Event) {
	event = l.history.Link(event, l.history.Sequence+1)
	l.history, _ = l.history.Next(event) // it continues the chain by being linked to it
	l.events = append(l.events, event)
}

func (l *layer) eventsAfter(after int64, limit int) []store.Event {
	all := l.events
	if l.base != nil {
		all = slices.Concat(l.base.events, l.events)
	}
	from := min(max(after, 0), int64(len(all)))
	to := min(from+int64(max(limit, 0)), int64(len(all)))
	return slices.Clone(all[from:to:to])
}

// rows are the records of one kind in a layer. In a layer with a base, nil marks what the layer deleted.
type rows[T any] struct {
	base *rows[T]
	own  map[string]*T
}

func (r *rows[T]) get(key string) (record T, found bool) {
	if p, ok := r.own[key]; ok {
		if p == nil {
			return record, false
		}
		return *p, true
	}
	if r.base == nil {
		return record, false
	}
	return r.base.get(key)
}

func (r *rows[T]) put(key string, record T) { r.set(key, &record) }

func (r *rows[T]) delete(key string) {
	if r.base == nil {
		delete(r.own, key)
		return
	}
	r.set(key, nil)
}

func (r *rows[T]) set(key string, p *T) {
	if r.own == nil {
		r.own = make(map[string]*T)
	}
	r.own[key] = p
}

// keys returns the keys of all records, in no order.
func (r *rows[T]) keys() []string {
	var keys []string
	if r.base != nil {
		keys = slices.DeleteFunc(r.base.keys(), func(key string) bool { _, ok := r.own[key]; return ok })
	}
	for key, p := range r.own {
		if p != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

func (r *rows[T]) deleteFunc(matches func(T) bool) (deleted int) {
	for _, key := range r.keys() {
		if record, _ := r.get(key); matches(record) {
			r.delete(key)
			deleted++
		}
	}
	return deleted
}

func (r *rows[T]) merge() {
	for key, p := range r.own {
		if p == nil {
			r.base.delete(key)
		} else {
			r.base.set(key, p)
		}
	}
}
