package server

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/writ-auth/writ/internal/store"
)

var labelOperation = label{"operation", []string{
	"get", "list", "find", "insert", "put", "delete", "use_once", "note_uses", "uses", "append", "events", "update", "generation", "sweep", "ping",
}}

// storeMetrics are of what the store was asked.
type storeMetrics struct {
	took   map[string]prometheus.Observer
	failed *family
	used   prometheus.Counter
	swept  prometheus.Counter

	generation atomic.Int64 // that the store told last
	writes     atomic.Int64 // operations that write
	tracing    *tracing     // nil: nobody wants to know
}

func newStoreMetrics(m *metrics) *storeMetrics {
	s := &storeMetrics{
		took: m.histograms("writ_store_duration_seconds", "Time that the store took, by operation; a transaction is one update.", labelOperation,
			[]float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5}),
		failed: m.family("writ_store_errors_total", "Operations that the store could not do. That a record is not there, or is there already, is no error.",
			[]label{labelOperation}),
		used:  m.counter("writ_store_used_ids_total", "Identifiers of assertions and proofs that were used up through this node: one row each, until they expire."),
		swept: m.counter("writ_store_swept_total", "Rows of used identifiers, revocations and uses that this node has deleted because they expired."),
	}
	m.gauge("writ_store_generation", "How often clients, resources, roles or keys were changed, as this node saw it last: nodes that differ for more than a second do not see each other's changes.",
		nil, func(tell func(float64, ...string)) { tell(float64(s.generation.Load())) })
	return s
}

// done counts an operation that began at a moment.
func (s *storeMetrics) done(ctx context.Context, operation string, began time.Time, err error) {
	s.tracing.past(ctx, "store "+operation, began, err)
	s.took[operation].Observe(time.Since(began).Seconds())
	switch operation {
	case "use_once", "note_uses", "append", "update", "insert", "put", "delete", "sweep":
		s.writes.Add(1)
	}
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExists), errors.Is(err, store.ErrInvalid):
	case errors.Is(err, context.Canceled): // by a caller who has gone away
	default:
		s.failed.inc(operation)
	}
}

// A watched store counts what it is asked.
type watched struct {
	store.Store
	metrics *storeMetrics
}

// A watchedTable is a table of a watched store.
type watchedTable[T store.Record] struct {
	store.Table[T]
	metrics *storeMetrics
}

func (w watched) Clients() store.Table[store.Client] {
	return watchedTable[store.Client]{w.Store.Clients(), w.metrics}
}

func (w watched) Resources() store.Table[store.Resource] {
	return watchedTable[store.Resource]{w.Store.Resources(), w.metrics}
}

func (w watched) Roles() store.Table[store.Role] {
	return watchedTable[store.Role]{w.Store.Roles(), w.metrics}
}

func (w watched) Keys() store.Table[store.SigningKey] {
	return watchedTable[store.SigningKey]{w.Store.Keys(), w.metrics}
}

func (w watched) Revocations() store.Table[store.Revocation] {
	return watchedTable[store.Revocation]{w.Store.Revocations(), w.metrics}
}

func (w watched) Checkpoints() store.Table[store.Checkpoint] {
	return watchedTable[store.Checkpoint]{w.Store.Checkpoints(), w.metrics}
}

func (w watched) FindClients(ctx context.Context, query store.ClientQuery) (found []store.Client, err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "find", began, err) }(time.Now())
	return w.Store.FindClients(ctx, query)
}

func (w watched) ClientsDue(ctx context.Context, by time.Time, after store.DuePosition, limit int) (found []store.Client, last store.DuePosition, err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "find", began, err) }(time.Now())
	return w.Store.ClientsDue(ctx, by, after, limit)
}

func (w watched) ClientsCalled(ctx context.Context, words ...string) (found []store.Client, err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "find", began, err) }(time.Now())
	return w.Store.ClientsCalled(ctx, words...)
}

func (w watched) UseOnce(ctx context.Context, id string, expires time.Time) (err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "use_once", began, err) }(time.Now())
	if err = w.Store.UseOnce(ctx, id, expires); err == nil {
		w.metrics.used.Inc()
	}
	return err
}

func (w watched) NoteUses(ctx context.Context, uses []store.Use) (err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "note_uses", began, err) }(time.Now())
	return w.Store.NoteUses(ctx, uses)
}

func (w watched) Uses(ctx context.Context, clientIDs ...string) (uses []store.Use, err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "uses", began, err) }(time.Now())
	return w.Store.Uses(ctx, clientIDs...)
}

func (w watched) Append(ctx context.Context, event store.Event) (err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "append", began, err) }(time.Now())
	return w.Store.Append(ctx, event)
}

func (w watched) Events(ctx context.Context, after int64, limit int) (events []store.Event, err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "events", began, err) }(time.Now())
	return w.Store.Events(ctx, after, limit)
}

// Update counts as one operation, and fails only where the change itself did not: what a change refuses is no error of the store.
func (w watched) Update(ctx context.Context, change func(store.Store) error) error {
	began := time.Now()
	var refused error
	err := w.Store.Update(ctx, func(tx store.Store) error {
		refused = change(tx)
		return refused
	})
	failure := err
	if refused != nil && errors.Is(err, refused) {
		failure = nil
	}
	w.metrics.done(ctx, "update", began, failure)
	return err
}

func (w watched) Generation(ctx context.Context) (generation int64, err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "generation", began, err) }(time.Now())
	if generation, err = w.Store.Generation(ctx); err == nil {
		w.metrics.generation.Store(generation)
	}
	return generation, err
}

func (w watched) Sweep(ctx context.Context, now time.Time) (n int, err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "sweep", began, err) }(time.Now())
	n, err = w.Store.Sweep(ctx, now)
	w.metrics.swept.Add(float64(n))
	return n, err
}

func (w watched) Ping(ctx context.Context) (err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "ping", began, err) }(time.Now())
	return w.Store.Ping(ctx)
}

func (w watchedTable[T]) Get(ctx context.Context, key string) (record T, err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "get", began, err) }(time.Now())
	return w.Table.Get(ctx, key)
}

func (w watchedTable[T]) List(ctx context.Context, after string, limit int) (records []T, err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "list", began, err) }(time.Now())
	return w.Table.List(ctx, after, limit)
}

func (w watchedTable[T]) Insert(ctx context.Context, record T) (err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "insert", began, err) }(time.Now())
	return w.Table.Insert(ctx, record)
}

func (w watchedTable[T]) Put(ctx context.Context, record T) (err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "put", began, err) }(time.Now())
	return w.Table.Put(ctx, record)
}

func (w watchedTable[T]) Delete(ctx context.Context, key string) (err error) {
	defer func(began time.Time) { w.metrics.done(ctx, "delete", began, err) }(time.Now())
	return w.Table.Delete(ctx, key)
}
